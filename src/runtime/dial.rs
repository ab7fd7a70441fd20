//! Sockets made inside a sandbox's network, over a connection of their own.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::RuntimeError;
use super::connection::connect;
use crate::base::SandboxId;
use crate::wire::frame::{self, Kind};
use crate::wire::{MOST_SOCKETS, Reply, Request, ToEngine, ToShim};

/// A reply to `Socket` is far smaller.
const REPLY: usize = 4096;

/// The connection to one shim over which sockets come. One request at a time.
pub(super) struct SocketSource {
    stream: UnixStream,
    received: BytesMut,
    /// Sockets that came and were not needed yet, all of one family: whoever asks twice asks again, as probes do,
    /// and asking for each would wake the shim every time.
    spare: Vec<OwnedFd>,
    spare_ipv6: bool,
    asked_before: bool,
}

impl SocketSource {
    pub(super) async fn open(sandbox: &SandboxId, directory: &Path) -> Result<Self, RuntimeError> {
        let (reader, write) = connect(sandbox, directory).await?;
        let (stream, received) =
            reader
                .into_stream(write)
                .map_err(|source| RuntimeError::Unreachable {
                    sandbox: sandbox.clone(),
                    source,
                })?;
        Ok(Self {
            stream,
            received,
            spare: Vec::new(),
            spare_ipv6: false,
            asked_before: false,
        })
    }

    /// A socket of the sandbox for addresses of this family. Not cancel-safe: a source whose request was
    /// given up is to be dropped.
    pub(super) async fn socket(
        &mut self,
        family: SocketAddr,
    ) -> io::Result<Result<OwnedFd, Reply>> {
        let ipv6 = family.is_ipv6();
        if ipv6 != self.spare_ipv6 {
            self.spare.clear();
            self.spare_ipv6 = ipv6;
        }
        if self.spare.is_empty()
            && let Err(refusal) = self.fetch(ipv6).await?
        {
            return Ok(Err(refusal));
        }
        let socket = self.spare.pop().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Ok(socket))
    }

    /// Asks for one socket, and for more of them the next times.
    async fn fetch(&mut self, ipv6: bool) -> io::Result<Result<(), Reply>> {
        let count = if self.asked_before { MOST_SOCKETS } else { 1 };
        self.asked_before = true;
        let mut request = Vec::with_capacity(64);
        let message = ToShim {
            id: 1,
            request: Request::Socket {
                ipv6,
                count: u8::try_from(count).unwrap_or(1),
            },
        };
        frame::put_json(&mut request, Kind::Control, &message).map_err(io::Error::other)?;
        self.stream.write_all(&request).await?;
        loop {
            if let Some((Kind::Control, payload)) =
                frame::take(&mut self.received).map_err(io::Error::other)?
            {
                return match serde_json::from_slice(&payload)? {
                    ToEngine::Reply {
                        reply: Reply::Socket,
                        ..
                    } => Ok(Ok(())),
                    ToEngine::Reply { reply, .. } => Ok(Err(reply)),
                    ToEngine::Event(_) => Err(io::ErrorKind::InvalidData.into()),
                };
            }
            let (bytes, descriptors) = self
                .stream
                .async_io(Interest::READABLE, || receive(&self.stream))
                .await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&bytes);
            self.spare.extend(descriptors);
        }
    }
}

/// Connects a socket that does not block. The way to the pod's own address is loopback, where the peer has answered
/// before the call is over: then nothing is registered and waited for.
pub(super) async fn establish(socket: OwnedFd, address: SocketAddr) -> io::Result<TcpStream> {
    // The second call tells how the first went on (connect(2), EINPROGRESS).
    for _ in 0..2 {
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::ISCONN) => return Ok(TcpStream::from(socket)),
            Err(Errno::INPROGRESS | Errno::ALREADY) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let stream = tokio::net::TcpStream::from_std(TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => stream.into_std(),
    }
}

fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; REPLY];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    bytes.truncate(message.bytes);
    let descriptors = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    });
    Ok((bytes, descriptors.collect()))
}
