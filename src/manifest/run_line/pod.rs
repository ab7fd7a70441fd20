//! What the flags mean for a pod.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::options::{Flag, RunLine, is_known, parse};
use crate::manifest::write::to_yaml_in_order;
use crate::model::names;

/// The manifest, with comments about what differs from the line.
pub(crate) fn pod_of_run_line(line: &str) -> Result<String, String> {
    let run = parse(line)?;
    let mut builder = Builder::new(&run);
    for flag in &run.flags {
        builder.flag(flag);
    }
    builder.arguments(&run);
    Ok(builder.finish(line))
}

struct Builder {
    name: String,
    metadata: Map<String, Value>,
    spec: Map<String, Value>,
    container: Map<String, Value>,
    notes: Vec<String>,
    entrypoint: Option<Vec<String>>,
}

/// The entry of a map, made when it is not there.
fn object<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let entry = map.entry(key).or_insert_with(|| json!({}));
    entry
        .as_object_mut()
        .expect("this key only ever holds a map")
}

fn list<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Vec<Value> {
    let entry = map.entry(key).or_insert_with(|| json!([]));
    entry
        .as_array_mut()
        .expect("this key only ever holds a list")
}

fn set(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    map.insert(key.to_owned(), value.into());
}

impl Builder {
    fn new(run: &RunLine) -> Self {
        let mut builder = Self {
            name: String::new(),
            metadata: Map::new(),
            spec: Map::new(),
            container: Map::new(),
            notes: Vec::new(),
            entrypoint: None,
        };
        let named = run.flags.iter().rev().find(|flag| flag.name == "name");
        let wanted = named
            .and_then(|flag| flag.value.clone())
            .unwrap_or_else(|| short_name(&run.image));
        builder.name = dns_label(&wanted);
        if named.is_some() && builder.name != wanted {
            builder.note(format!(
                "--name={wanted}: names of pods are lower case letters, digits and '-'"
            ));
        }
        let name = builder.name.clone();
        set(&mut builder.metadata, "name", name);
        // What docker does when the line says nothing.
        set(&mut builder.spec, "restartPolicy", "Never");
        set(&mut builder.container, "name", "main");
        set(&mut builder.container, "image", run.image.clone());
        set(&mut builder.container, "imagePullPolicy", "IfNotPresent");
        builder
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn flag(&mut self, flag: &Flag) {
        let value = flag.value.clone().unwrap_or_default();
        let value = value.as_str();
        match flag.name.as_str() {
            // Pods always run in the background; attaching is a command of its own.
            "detach" | "name" | "quiet" | "help" => {}
            "interactive" => self.switch(flag, "stdin"),
            "tty" => self.switch(flag, "tty"),
            "publish" => self.publish(flag, value),
            "expose" => self.expose(flag, value),
            "volume" => self.volume(flag, value),
            "mount" => self.mount(flag, value),
            "tmpfs" => self.tmpfs(value),
            "shm-size" => self.shared_memory(flag, value),
            "env" => self.env(value),
            "env-file" => self.env_file(value),
            "workdir" => set(&mut self.container, "workingDir", value),
            "user" => self.user(flag, value),
            "group-add" => self.group(flag, value),
            "entrypoint" => self.entrypoint = Some(entrypoint(value)),
            "restart" => self.restart(flag, value),
            "memory" => self.memory(flag, value, "limits"),
            "memory-reservation" => self.memory(flag, value, "requests"),
            "cpus" => self.resource("limits", "cpu", value.to_owned()),
            "network" => self.network(flag, value),
            "pid" => self.host_namespace(flag, value, "hostPID"),
            "ipc" => self.host_namespace(flag, value, "hostIPC"),
            "privileged" if flag.is_on() => self.security("privileged", true),
            "read-only" if flag.is_on() => self.security("readOnlyRootFilesystem", true),
            "privileged" | "read-only" => {}
            "cap-add" => self.capability("add", value),
            "cap-drop" => self.capability("drop", value),
            "security-opt" => self.security_option(flag, value),
            "sysctl" => self.sysctl(flag, value),
            "hostname" => self.hostname(flag, value),
            "add-host" => self.host(flag, value),
            "dns" => self.dns("nameservers", value.into()),
            "dns-search" => self.dns("searches", value.into()),
            "dns-option" => {
                let (name, setting) = value.split_once(':').unwrap_or((value, ""));
                let mut option = json!({"name": name});
                if !setting.is_empty() {
                    option["value"] = setting.into();
                }
                self.dns("options", option);
            }
            "label" => self.label(value),
            "annotation" => self.annotation(value),
            "pull" => self.pull(flag, value),
            "stop-timeout" => match value.parse::<u32>() {
                Ok(seconds) => set(&mut self.spec, "terminationGracePeriodSeconds", seconds),
                Err(_) => self.not_carried(flag, "it is not a number of seconds"),
            },
            "rm" => self.note("--rm: the pod stays after its end, so that its logs can be read; delete it then"),
            "init" => self.not_carried(
                flag,
                "with shareProcessNamespace: true the pause process reaps what the container leaves behind",
            ),
            name if is_known(name) => self.not_carried(flag, "there is no field of a pod for it here"),
            _ => self.not_carried(
                flag,
                "this flag is not known, so it was taken for one without a value; check the image above",
            ),
        }
    }

    fn not_carried(&mut self, flag: &Flag, why: &str) {
        self.note(format!("{}: not carried over; {why}", flag.text()));
    }

    fn switch(&mut self, flag: &Flag, field: &str) {
        if flag.is_on() {
            set(&mut self.container, field, true);
        }
    }

    fn security(&mut self, field: &str, value: impl Into<Value>) {
        set(object(&mut self.container, "securityContext"), field, value);
    }

    fn resource(&mut self, part: &str, name: &str, amount: String) {
        set(
            object(object(&mut self.container, "resources"), part),
            name,
            amount,
        );
    }

    /// `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each port possibly a range.
    fn publish(&mut self, flag: &Flag, value: &str) {
        let (ports, protocol) = value.rsplit_once('/').unwrap_or((value, "tcp"));
        let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
        let (ip, host) = match rest.rsplit_once(':') {
            Some((ip, host)) => (ip.trim_matches(['[', ']']), host),
            None => ("", rest),
        };
        let Some(containers) = port_range(container) else {
            self.not_carried(flag, "it is not [[IP:]HOST:]CONTAINER[/PROTOCOL]");
            return;
        };
        if host.is_empty() {
            self.note(format!(
                "{}: there are no random host ports; write a hostPort, or use port-forward",
                flag.text()
            ));
        }
        let hosts = if host.is_empty() {
            None
        } else {
            port_range(host)
        };
        if !host.is_empty()
            && hosts
                .as_ref()
                .is_none_or(|hosts| hosts.len() != containers.len())
        {
            self.not_carried(flag, "the two ranges of ports differ in length");
            return;
        }
        for (index, port) in containers.into_iter().enumerate() {
            let mut entry = json!({"containerPort": port});
            if let Some(hosts) = &hosts {
                entry["hostPort"] = hosts[index].into();
            }
            if !ip.is_empty() && ip != "0.0.0.0" && ip != "::" {
                entry["hostIP"] = ip.into();
            }
            if !protocol.eq_ignore_ascii_case("tcp") {
                entry["protocol"] = protocol.to_ascii_uppercase().into();
            }
            list(&mut self.container, "ports").push(entry);
        }
    }

    fn expose(&mut self, flag: &Flag, value: &str) {
        let (ports, protocol) = value.rsplit_once('/').unwrap_or((value, "tcp"));
        let Some(ports) = port_range(ports) else {
            self.not_carried(flag, "it is not a port");
            return;
        };
        for port in ports {
            let mut entry = json!({"containerPort": port});
            if !protocol.eq_ignore_ascii_case("tcp") {
                entry["protocol"] = protocol.to_ascii_uppercase().into();
            }
            list(&mut self.container, "ports").push(entry);
        }
    }

    /// `[SOURCE:]TARGET[:OPTIONS]`.
    fn volume(&mut self, flag: &Flag, value: &str) {
        let mut parts = value.split(':');
        let (first, second, options) = (
            parts.next().unwrap_or_default(),
            parts.next(),
            parts.next().unwrap_or_default(),
        );
        let (source, target) = match second {
            Some(target) => (first, target),
            None => ("", first),
        };
        if !target.starts_with('/') || parts.next().is_some() {
            self.not_carried(
                flag,
                "it is not [SOURCE:]TARGET[:OPTIONS] with an absolute target",
            );
            return;
        }
        let volume = self.volume_of(source);
        let mut mount = json!({"name": volume, "mountPath": target});
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" | "readonly" => mount["readOnly"] = true.into(),
                "rw" => {}
                "rshared" | "shared" => mount["mountPropagation"] = "Bidirectional".into(),
                "rslave" | "slave" => mount["mountPropagation"] = "HostToContainer".into(),
                "private" | "rprivate" => mount["mountPropagation"] = "None".into(),
                other => self.note(format!(
                    "{}: option {other} is not carried over",
                    flag.text()
                )),
            }
        }
        list(&mut self.container, "volumeMounts").push(mount);
    }

    /// The volume for a source: a directory of the host, or one of the pod. Returns its name.
    fn volume_of(&mut self, source: &str) -> String {
        let is_path = source.starts_with(['/', '.', '~', '$']);
        let wanted = if source.is_empty() {
            "data".to_owned()
        } else {
            dns_label(source)
        };
        let existing = list(&mut self.spec, "volumes");
        let taken = |name: &str| existing.iter().any(|volume| volume["name"] == name);
        // The same named volume mounted twice is one volume.
        if !source.is_empty() && !is_path && taken(&wanted) {
            return wanted;
        }
        let mut name = wanted.clone();
        let mut number = 2;
        while taken(&name) {
            name = format!("{wanted}-{number}");
            number += 1;
        }
        existing.push(if is_path {
            json!({"name": name, "hostPath": {"path": source}})
        } else {
            json!({"name": name, "emptyDir": {}})
        });
        if is_path && !source.starts_with('/') {
            self.note(format!(
                "the directory {source} must be written as an absolute path"
            ));
        }
        if !is_path && !source.is_empty() {
            self.note(format!("the named volume {source} is an emptyDir here: it is empty at first and goes with the pod"));
        }
        name
    }

    /// `type=bind,source=/a,target=/b,readonly`.
    fn mount(&mut self, flag: &Flag, value: &str) {
        let (mut kind, mut source, mut target, mut is_read_only) = ("volume", "", "", false);
        let mut unknown = Vec::new();
        for part in value.split(',') {
            let (key, setting) = part.split_once('=').unwrap_or((part, "true"));
            match key {
                "type" => kind = setting,
                "source" | "src" => source = setting,
                "target" | "destination" | "dst" => target = setting,
                "readonly" | "ro" => is_read_only = setting != "false",
                _ => unknown.push(part),
            }
        }
        if !target.starts_with('/') {
            self.not_carried(flag, "it has no absolute target");
            return;
        }
        let volume = match kind {
            "bind" | "volume" => self.volume_of(source),
            "tmpfs" => self.memory_volume("tmp", None),
            _ => {
                self.not_carried(
                    flag,
                    "only the types bind, volume and tmpfs have a counterpart",
                );
                return;
            }
        };
        let mut mount = json!({"name": volume, "mountPath": target});
        if is_read_only {
            mount["readOnly"] = true.into();
        }
        list(&mut self.container, "volumeMounts").push(mount);
        if !unknown.is_empty() {
            self.note(format!(
                "{}: {} is not carried over",
                flag.text(),
                unknown.join(",")
            ));
        }
    }

    fn memory_volume(&mut self, wanted: &str, size: Option<String>) -> String {
        let name = self.volume_of("");
        let volumes = list(&mut self.spec, "volumes");
        let mut fresh = wanted.to_owned();
        let mut number = 2;
        while volumes
            .iter()
            .any(|volume| volume["name"] == fresh.as_str())
        {
            fresh = format!("{wanted}-{number}");
            number += 1;
        }
        if let Some(volume) = volumes
            .iter_mut()
            .find(|volume| volume["name"] == name.as_str())
        {
            volume["name"] = fresh.clone().into();
            volume["emptyDir"] = json!({"medium": "Memory"});
            if let Some(size) = size {
                volume["emptyDir"]["sizeLimit"] = size.into();
            }
        }
        fresh
    }

    fn tmpfs(&mut self, value: &str) {
        let (target, options) = value.split_once(':').unwrap_or((value, ""));
        let mut size = None;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.strip_prefix("size=").and_then(quantity) {
                Some(amount) => size = Some(amount),
                None => self.note(format!(
                    "--tmpfs={target}: option {option} is not carried over"
                )),
            }
        }
        let volume = self.memory_volume("tmp", size);
        list(&mut self.container, "volumeMounts")
            .push(json!({"name": volume, "mountPath": target}));
    }

    fn shared_memory(&mut self, flag: &Flag, value: &str) {
        let Some(size) = quantity(value) else {
            self.not_carried(flag, "it is not a size");
            return;
        };
        let volume = self.memory_volume("shm", Some(size));
        list(&mut self.container, "volumeMounts")
            .push(json!({"name": volume, "mountPath": "/dev/shm"}));
    }

    fn env(&mut self, value: &str) {
        let (name, setting) = match value.split_once('=') {
            Some((name, setting)) => (name, setting),
            None => {
                self.note(format!("--env={value}: docker takes the value from your shell; write it into the manifest"));
                (value, "")
            }
        };
        if setting.contains('$') {
            self.note(format!(
                "--env={value}: the shell would have replaced what begins with $"
            ));
        }
        // A dollar sign of ours: $(NAME) would be expanded in a pod, $$ is one dollar sign.
        let setting = setting.replace("$(", "$$(");
        list(&mut self.container, "env").push(json!({"name": name, "value": setting}));
    }

    fn env_file(&mut self, path: &str) {
        let known = list(&mut self.container, "envFrom").len();
        let name = match known {
            0 => format!("{}-env", self.name),
            many => format!("{}-env-{}", self.name, many + 1),
        };
        list(&mut self.container, "envFrom").push(json!({"configMapRef": {"name": name}}));
        self.note(format!(
            "--env-file={path}: the file becomes a config map: podtui create configmap {name} --from-env-file={path}"
        ));
    }

    fn user(&mut self, flag: &Flag, value: &str) {
        let (user, group) = match value.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (value, None),
        };
        for (field, id) in [("runAsUser", Some(user)), ("runAsGroup", group)] {
            match id.map(str::parse::<u32>) {
                Some(Ok(id)) => self.security(field, id),
                Some(Err(_)) => self.not_carried(
                    flag,
                    "only numeric ids can be given; look the name up in the image",
                ),
                None => {}
            }
        }
    }

    fn group(&mut self, flag: &Flag, value: &str) {
        match value.parse::<u32>() {
            Ok(id) => list(
                object(&mut self.spec, "securityContext"),
                "supplementalGroups",
            )
            .push(id.into()),
            Err(_) => self.not_carried(flag, "only numeric ids can be given"),
        }
    }

    fn restart(&mut self, flag: &Flag, value: &str) {
        let (policy, count) = value.split_once(':').unwrap_or((value, ""));
        let policy = match policy {
            "no" => "Never",
            "always" => "Always",
            "unless-stopped" => {
                self.note("--restart=unless-stopped: Always is the nearest; a pod is stopped by deleting it");
                "Always"
            }
            "on-failure" => "OnFailure",
            _ => {
                self.not_carried(flag, "it is no restart policy");
                return;
            }
        };
        if !count.is_empty() {
            self.note(format!(
                "{}: restarts are not counted; the delay between them grows to 5 minutes",
                flag.text()
            ));
        }
        set(&mut self.spec, "restartPolicy", policy);
    }

    fn memory(&mut self, flag: &Flag, value: &str, part: &str) {
        match quantity(value) {
            Some(amount) => self.resource(part, "memory", amount),
            None => self.not_carried(flag, "it is not a size"),
        }
    }

    fn network(&mut self, flag: &Flag, value: &str) {
        match value {
            "host" => set(&mut self.spec, "hostNetwork", true),
            "bridge" | "default" | "podman" => {}
            _ => self.not_carried(flag, "a pod has its own network, or that of the host"),
        }
    }

    fn host_namespace(&mut self, flag: &Flag, value: &str, field: &str) {
        match value {
            "host" => set(&mut self.spec, field, true),
            "private" | "shareable" => {}
            _ => self.not_carried(flag, "a pod has its own, or that of the host"),
        }
    }

    fn capability(&mut self, part: &str, value: &str) {
        let name = value.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
        let context = object(&mut self.container, "securityContext");
        list(object(context, "capabilities"), part).push(name.into());
    }

    fn security_option(&mut self, flag: &Flag, value: &str) {
        match value {
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => {
                self.security("allowPrivilegeEscalation", false);
            }
            "seccomp=unconfined" | "seccomp:unconfined" => {
                self.security("seccompProfile", json!({"type": "Unconfined"}))
            }
            "apparmor=unconfined" | "apparmor:unconfined" => {
                self.security("appArmorProfile", json!({"type": "Unconfined"}));
            }
            _ => self.not_carried(flag, "see securityContext for what there is"),
        }
    }

    fn sysctl(&mut self, flag: &Flag, value: &str) {
        match value.split_once('=') {
            Some((name, setting)) => list(object(&mut self.spec, "securityContext"), "sysctls")
                .push(json!({"name": name, "value": setting})),
            None => self.not_carried(flag, "it is not NAME=VALUE"),
        }
    }

    /// A pod's hostname is a DNS label; what stands behind a dot is its subdomain only with a service.
    fn hostname(&mut self, flag: &Flag, value: &str) {
        if names::dns_label(value).is_empty() {
            set(&mut self.spec, "hostname", value);
        } else {
            let label = dns_label(value.split('.').next().unwrap_or_default());
            self.note(format!(
                "{}: the hostname of a pod is one label of lower case letters, digits and '-'",
                flag.text()
            ));
            set(&mut self.spec, "hostname", label);
        }
    }

    fn host(&mut self, flag: &Flag, value: &str) {
        let Some((name, ip)) = value.split_once([':', '=']) else {
            self.not_carried(flag, "it is not NAME:IP");
            return;
        };
        let ip = ip.trim_matches(['[', ']']);
        if !names::ip_address(ip).is_empty() {
            self.not_carried(flag, "only IP addresses can be given");
            return;
        }
        let aliases = list(&mut self.spec, "hostAliases");
        match aliases.iter_mut().find(|alias| alias["ip"] == ip) {
            Some(alias) => {
                if let Some(names) = alias["hostnames"].as_array_mut() {
                    names.push(name.into());
                }
            }
            None => aliases.push(json!({"ip": ip, "hostnames": [name]})),
        }
    }

    fn dns(&mut self, field: &str, value: Value) {
        set(
            &mut self.spec,
            "dnsPolicy",
            if field == "nameservers" {
                "None"
            } else {
                "Default"
            },
        );
        let config = object(&mut self.spec, "dnsConfig");
        list(config, field).push(value);
        if config.contains_key("nameservers") {
            set(&mut self.spec, "dnsPolicy", "None");
        }
    }

    /// Labels of pods are short names and values; anything else is an annotation.
    fn label(&mut self, value: &str) {
        let (name, setting) = value.split_once('=').unwrap_or((value, ""));
        if names::qualified_name(name).is_empty() && names::label_value(setting).is_empty() {
            set(object(&mut self.metadata, "labels"), name, setting);
        } else {
            self.note(format!(
                "--label={value}: not possible as a label of a pod; it is an annotation"
            ));
            self.annotation(value);
        }
    }

    fn annotation(&mut self, value: &str) {
        let (name, setting) = value.split_once('=').unwrap_or((value, ""));
        set(object(&mut self.metadata, "annotations"), name, setting);
    }

    fn pull(&mut self, flag: &Flag, value: &str) {
        let policy = match value {
            "always" => "Always",
            "missing" => "IfNotPresent",
            "never" => "Never",
            _ => {
                self.not_carried(flag, "the policies are Always, IfNotPresent and Never");
                return;
            }
        };
        set(&mut self.container, "imagePullPolicy", policy);
    }

    fn arguments(&mut self, run: &RunLine) {
        match self.entrypoint.take() {
            // An empty one takes away that of the image; the words are the whole command then.
            Some(entrypoint) if entrypoint.is_empty() => {
                if run.arguments.is_empty() {
                    self.note(
                        "--entrypoint=\"\" without words behind the image leaves nothing to run: write a command",
                    );
                } else {
                    set(&mut self.container, "command", run.arguments.clone());
                }
                return;
            }
            Some(entrypoint) => set(&mut self.container, "command", entrypoint),
            None => {}
        }
        if !run.arguments.is_empty() {
            set(&mut self.container, "args", run.arguments.clone());
        }
    }

    fn finish(mut self, line: &str) -> String {
        const ORDER: [&str; 14] = [
            "name",
            "image",
            "imagePullPolicy",
            "command",
            "args",
            "workingDir",
            "stdin",
            "tty",
            "ports",
            "envFrom",
            "env",
            "resources",
            "securityContext",
            "volumeMounts",
        ];
        let mut container = Map::new();
        for key in ORDER {
            if let Some(value) = self.container.shift_remove(key) {
                container.insert(key.to_owned(), value);
            }
        }
        container.extend(self.container);
        let volumes = self.spec.shift_remove("volumes");
        set(&mut self.spec, "containers", vec![Value::Object(container)]);
        if let Some(volumes) =
            volumes.filter(|volumes| volumes.as_array().is_some_and(|list| !list.is_empty()))
        {
            set(&mut self.spec, "volumes", volumes);
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": self.metadata, "spec": self.spec});
        let mut text = String::new();
        let one_line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        for note in std::iter::once(format!("From: {one_line}"))
            .chain(self.notes.iter().map(|note| format!("* {note}")))
        {
            let note: String = note.chars().filter(|symbol| !symbol.is_control()).collect();
            writeln!(text, "# {note}").expect("writing to a string does not fail");
        }
        text + &to_yaml_in_order(&pod)
    }
}

/// `repo/nginx:1.27` → `nginx`.
fn short_name(image: &str) -> String {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().to_owned()
}

fn dns_label(text: &str) -> String {
    let mut label = String::new();
    for symbol in text.to_ascii_lowercase().chars() {
        let fits = symbol.is_ascii_lowercase() || symbol.is_ascii_digit();
        if fits {
            label.push(symbol);
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(names::LABEL_MAX);
    let label = label.trim_end_matches('-');
    if label.is_empty() {
        "pod".to_owned()
    } else {
        label.to_owned()
    }
}

/// One string is one word for docker; podman also takes a list as JSON.
fn entrypoint(value: &str) -> Vec<String> {
    if value.is_empty() {
        return Vec::new();
    }
    serde_json::from_str(value).unwrap_or_else(|_| vec![value.to_owned()])
}

fn port_range(text: &str) -> Option<Vec<u16>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
    (from >= 1 && from <= to).then(|| (from..=to).collect())
}

/// docker's sizes are binary: `512m` is 512 Mi, no unit is bytes.
fn quantity(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let lower = lower.strip_suffix('i').unwrap_or(lower);
    let (number, unit) = match lower.chars().next_back()? {
        'k' => (&lower[..lower.len() - 1], "Ki"),
        'm' => (&lower[..lower.len() - 1], "Mi"),
        'g' => (&lower[..lower.len() - 1], "Gi"),
        't' => (&lower[..lower.len() - 1], "Ti"),
        _ => (lower, ""),
    };
    let is_number = !number.is_empty()
        && number
            .parse::<f64>()
            .is_ok_and(|number| number.is_finite() && number >= 0.0);
    is_number.then(|| format!("{number}{unit}"))
}
