//! Listening sockets that one process hands to the next. A socket that is never closed resets nobody: connections that wait
//! in it are accepted by the new process.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, RecvMsg, ReturnFlags, recvmsg};
use serde::Deserialize;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

use super::OpenListener;
use super::socket_file::Inode;
use crate::io::address::Address;

/// How long the other process may take over one message.
const PATIENCE: Duration = Duration::from_secs(5);
/// A listener's name and address.
const LONGEST_TEXT: usize = 4_096;
/// Descriptors in one message; the sender's `DESCRIPTORS` is not more.
const DESCRIPTORS: usize = 64;
const WANTED: &[u8] = br#"{"format": 1, "want": "sockets"}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    name: String,
    /// As configured; the port may be 0.
    address: Address,
    /// Of the socket, where the address is a path.
    file: Option<Inode>,
    /// The token with which the old process asks itself.
    #[serde(default)]
    self_check: Option<String>,
}

/// Some sockets of one listener of the old process.
pub struct Inherited {
    name: String,
    address: Address,
    file: Option<Inode>,
    self_check: Option<String>,
    sockets: Vec<OwnedFd>,
}

/// What there is for one listener of this process; nothing for most.
#[derive(Default)]
pub struct Handed {
    pub sockets: Vec<OwnedFd>,
    pub file: Option<Inode>,
}

impl Inherited {
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    pub fn self_check(&self) -> Option<&str> {
        self.self_check.as_deref()
    }
}

/// Asks the node at `path`. It ends the connection when everything is sent.
pub fn receive(path: &Path) -> io::Result<Vec<Inherited>> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.send(WANTED)?;
    let mut received = Vec::new();
    while let Some(inherited) = receive_one(&socket)? {
        received.push(inherited);
    }
    Ok(received)
}

fn receive_one(socket: &Socket) -> io::Result<Option<Inherited>> {
    let mut text = [0; LONGEST_TEXT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let RecvMsg { bytes, flags, .. } =
        recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if bytes == 0 {
        return Ok(None);
    }
    if flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
        return Err(io::Error::other("a message was cut; is the limit of open files reached?"));
    }
    let Message { name, address, file, self_check } =
        serde_json::from_slice(text.get(..bytes).unwrap_or_default())?;
    let sockets = control.drain().filter_map(descriptors).flatten().collect();
    Ok(Some(Inherited { name, address, file, self_check, sockets }))
}

fn descriptors(message: RecvAncillaryMessage<'_>) -> Option<rustix::net::AncillaryIter<'_, OwnedFd>> {
    if let RecvAncillaryMessage::ScmRights(descriptors) = message { Some(descriptors) } else { None }
}

/// What was inherited for a listener, duplicated: an `apply` that fails afterwards must leave it for the next.
/// A listener with another name but the same address takes its sockets, too, unless the system was to choose the port.
pub fn handed(all: &[Inherited], name: &str, address: &Address) -> io::Result<Handed> {
    let mut handed = Handed::default();
    for one in all {
        if one.address == *address && (one.name == name || address.port() != Some(0)) {
            handed.file = one.file;
            for socket in &one.sockets {
                handed.sockets.push(socket.try_clone()?);
            }
        }
    }
    Ok(handed)
}

pub fn listening(listeners: &[OpenListener], self_check: Option<&str>) -> Vec<u8> {
    let document: Value = listeners.iter().map(|open| listener(open, self_check)).collect();
    document.to_string().into_bytes()
}

fn listener(open: &OpenListener, self_check: Option<&str>) -> Value {
    json!({
        "name": open.name,
        "address": open.configured.to_string(),
        "file": open.file.as_ref().map(|file| file.inode()),
        "self_check": self_check,
        "descriptors": open.sockets.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>(),
    })
}
