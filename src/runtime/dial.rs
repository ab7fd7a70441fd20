//! Sockets made inside a sandbox's network, over a connection of their own.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use bytes::BytesMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, UnixStream};

use super::RuntimeError;
use super::connection::connect;
use crate::base::SandboxId;
use crate::wire::frame::{self, Kind};
use crate::wire::{Reply, Request, ToEngine, ToShim};

/// A reply to `Socket` is far smaller.
const REPLY: usize = 4096;

/// The connection to one shim over which sockets come. One request at a time.
pub(super) struct SocketSource {
    stream: UnixStream,
    received: BytesMut,
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
        Ok(Self { stream, received })
    }

    /// A socket of the sandbox for addresses of this family. Not cancel-safe: a source whose request was
    /// given up is to be dropped.
    pub(super) async fn socket(
        &mut self,
        family: SocketAddr,
    ) -> io::Result<Result<TcpSocket, Reply>> {
        let mut request = Vec::with_capacity(64);
        let message = ToShim {
            id: 1,
            request: Request::Socket {
                ipv6: family.is_ipv6(),
            },
        };
        frame::put_json(&mut request, Kind::Control, &message).map_err(io::Error::other)?;
        self.stream.write_all(&request).await?;
        let mut socket = None;
        loop {
            if let Some((Kind::Control, payload)) =
                frame::take(&mut self.received).map_err(io::Error::other)?
            {
                return match (serde_json::from_slice(&payload)?, socket) {
                    (
                        ToEngine::Reply {
                            reply: Reply::Socket,
                            ..
                        },
                        Some(socket),
                    ) => Ok(Ok(TcpSocket::from_std_stream(std::net::TcpStream::from(
                        socket,
                    )))),
                    (ToEngine::Reply { reply, .. }, _) => Ok(Err(reply)),
                    (ToEngine::Event(_), _) => Err(io::ErrorKind::InvalidData.into()),
                };
            }
            let (bytes, descriptor) = self
                .stream
                .async_io(Interest::READABLE, || receive(&self.stream))
                .await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&bytes);
            socket = socket.or(descriptor);
        }
    }
}

fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut bytes = vec![0; REPLY];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    bytes.truncate(message.bytes);
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((bytes, descriptor))
}
