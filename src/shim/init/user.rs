//! Who a container runs as, from the passwd and group files of its own root.

use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, OFlags, fstat};

use crate::base::quoted;
use crate::linux::path::{self, Links};
use crate::shim::fault::{At, refuse};
use crate::wire::{ContainerUser, EffectiveUser, Fault, Stage};

/// Larger files are hostile (CVE-2024-9676).
const MAX_FILE: u64 = 1 << 20;

/// The identity and the home directory.
pub(super) fn resolve(
    root: BorrowedFd<'_>,
    wanted: &ContainerUser,
) -> Result<(EffectiveUser, String), Fault> {
    let passwd = read(root, "etc/passwd")?;
    let group = read(root, "etc/group")?;
    lookup(wanted, &passwd, &group)
}

/// A file that the image controls: beneath the root, links included, never waiting for the other end of a
/// FIFO, and only a regular file of sensible size. A missing one reads as empty. It is looked at before it
/// is opened, because the opening of a device may have effects.
fn read(root: BorrowedFd<'_>, name: &str) -> Result<String, Fault> {
    let what = format!("read /{name}");
    let open = |flags| path::open(root, Path::new(name), flags, Links::InRoot);
    let seen = match open(OFlags::PATH) {
        Ok(fd) => fd,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).at(Stage::User, what),
    };
    check_regular(&seen, &what)?;
    let fd = open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).at(Stage::User, &what)?;
    let size = check_regular(&fd, &what)?.min(MAX_FILE);
    let mut bytes = Vec::with_capacity(usize::try_from(size + 1).unwrap_or(0));
    File::from(fd)
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .at(Stage::User, &what)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refuse(
            Stage::User,
            format!("{what}: larger than {MAX_FILE} bytes"),
        ));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Its size in bytes.
fn check_regular(fd: &OwnedFd, what: &str) -> Result<u64, Fault> {
    let stat = fstat(fd).at(Stage::User, what)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        return Ok(u64::try_from(stat.st_size).unwrap_or(0));
    }
    Err(refuse(Stage::User, format!("{what}: not a regular file")))
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn passwd_entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        let home = fields.nth(1).unwrap_or("");
        Some(Entry {
            name,
            uid,
            gid,
            home,
        })
    })
}

/// Name, gid and members.
fn group_entries(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?)?;
        Some((name, gid, fields.next().unwrap_or("")))
    })
}

/// Digits only: no sign, no space, and nothing that wraps around (CVE-2024-40635).
fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
        .filter(|value| *value != u32::MAX)
}

fn lookup(
    wanted: &ContainerUser,
    passwd: &str,
    group: &str,
) -> Result<(EffectiveUser, String), Fault> {
    let (user, explicit_group) = match wanted.user.split_once(':') {
        Some((_, rest)) if rest.contains(':') => {
            return Err(refuse(
                Stage::User,
                format!("user {:?}: more than one ':'", wanted.user),
            ));
        }
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted.user.as_str(), None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let (uid, entry) = if user.bytes().all(|byte| byte.is_ascii_digit()) {
        let uid = number(user).ok_or_else(|| {
            refuse(
                Stage::User,
                format!("user {user}: uid out of range", user = quoted(user)),
            )
        })?;
        (uid, passwd_entries(passwd).find(|entry| entry.uid == uid))
    } else {
        let entry = passwd_entries(passwd).find(|entry| entry.name == user);
        let entry = entry.ok_or_else(|| {
            refuse(
                Stage::User,
                format!("unable to find user {user}: no matching entries in passwd file"),
            )
        })?;
        (entry.uid, Some(entry))
    };
    if wanted.must_not_be_root && uid == 0 {
        return Err(refuse(
            Stage::User,
            "container has runAsNonRoot and image will run as root",
        ));
    }
    let gid = match (wanted.group, explicit_group) {
        (Some(gid), _) => gid,
        (None, Some(name)) => group_id(name, group)?,
        (None, None) => entry.as_ref().map_or(0, |entry| entry.gid),
    };
    let mut groups = vec![gid];
    if let Some(entry) = entry.as_ref().filter(|_| wanted.merge_image_groups) {
        groups.extend(
            group_entries(group)
                .filter(|(_, _, members)| members.split(',').any(|name| name == entry.name))
                .map(|(_, gid, _)| gid),
        );
    }
    groups.extend_from_slice(&wanted.additional_groups);
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|group| seen.insert(*group));
    let home = entry
        .map(|entry| entry.home)
        .filter(|home| home.starts_with('/'))
        .unwrap_or("/");
    Ok((
        EffectiveUser {
            uid,
            gid,
            supplementary_groups: groups,
        },
        home.to_owned(),
    ))
}

fn group_id(name: &str, group: &str) -> Result<u32, Fault> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(name).ok_or_else(|| {
            refuse(
                Stage::User,
                format!("group {name}: gid out of range", name = quoted(name)),
            )
        });
    }
    group_entries(group)
        .find(|(known, _, _)| *known == name)
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| {
            refuse(
                Stage::User,
                format!("unable to find group {name}: no matching entries in group file"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34:w:/srv:/bin/false\n\
                          web2:x:33:99::relative:\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,web\nlogs:x:11:web,\n";

    fn user(text: &str) -> ContainerUser {
        ContainerUser {
            user: text.to_owned(),
            group: None,
            additional_groups: Vec::new(),
            merge_image_groups: true,
            must_not_be_root: false,
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Option<(u32, u32, &[u32], &str)>) {
        let found = lookup(&user(text), PASSWD, GROUP).ok();
        let found = found.as_ref().map(|(user, home)| {
            (
                user.uid,
                user.gid,
                user.supplementary_groups.as_slice(),
                home.as_str(),
            )
        });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn identities_are_found() {
        check("", Some((0, 0, &[0, 10], "/root")));
        check("web", Some((33, 34, &[34, 10, 11], "/srv")));
        check("33", Some((33, 34, &[34, 10, 11], "/srv")));
        check("web:logs", Some((33, 11, &[11, 10], "/srv")));
        check("web2", Some((33, 99, &[99], "/")));
        check("1234", Some((1234, 0, &[0], "/")));
        check("1234:5678", Some((1234, 5678, &[5678], "/")));
    }

    #[test]
    fn what_cannot_be_found_is_refused() {
        for text in [
            "nobody",
            "web:none",
            "1:2:3",
            "4294967296",
            "4294967295",
            "-1",
            "0x10",
            " 0",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn pod_settings_win() {
        let mut wanted = user("web");
        wanted.group = Some(7);
        wanted.additional_groups = vec![2000, 7];
        wanted.merge_image_groups = false;
        let (found, _) = lookup(&wanted, PASSWD, GROUP).unwrap();
        assert_eq!((found.uid, found.gid), (33, 7));
        assert_eq!(found.supplementary_groups, [7, 2000]);
    }

    #[test]
    fn root_is_refused_by_its_number() {
        let mut wanted = user("root");
        wanted.must_not_be_root = true;
        assert!(lookup(&wanted, PASSWD, GROUP).is_err());
    }
}
