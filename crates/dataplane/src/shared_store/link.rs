//! A connection to the store: the node's own where it goes to one server without TLS, otherwise that of the library.

use std::net::Ipv6Addr;
use std::rc::Rc;
use std::time::Instant;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo,
    RedisError, RedisResult, Value,
};
use tokio::net::{TcpStream, UnixStream};

use super::settings::{Settings, Target};
use super::wire::{Failure, Wire};
use crate::io::stream::Stream;

/// Answers that may be to come on one connection, for each request that may wait: those that came too late are among them.
const DUE: usize = 4;

/// To be cloned for each call; all clones share the connection.
#[derive(Clone)]
pub(super) enum Link {
    Own(Rc<Wire>),
    Foreign(Foreign),
}

/// A connection of the library.
#[derive(Clone)]
pub(super) enum Foreign {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Whoever waits for this has a deadline of its own.
    pub(super) async fn connect(settings: &Settings) -> RedisResult<Self> {
        match &settings.target {
            Target::Server(client) => to_server(client, settings).await,
            Target::Sentinels { sentinels, master, login } => {
                let client = find_master(sentinels, master, login, settings).await?;
                Foreign::Server(open(&client, settings).await?).check_is_master().await?;
                to_server(&client, settings).await
            }
            Target::Cluster(client) => {
                client.get_async_connection().await.map(|cluster| Self::Foreign(Foreign::Cluster(cluster)))
            }
        }
    }

    /// It is known that nothing can be asked on it.
    pub(super) fn is_ended(&self) -> bool {
        match self {
            Self::Own(wire) => wire.is_ended(),
            Self::Foreign(_) => false,
        }
    }
}

impl Foreign {
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(super) async fn call(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Server(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// Sentinels may be behind: who was a master may be none any more.
    async fn check_is_master(&mut self) -> RedisResult<()> {
        let role = self.call(&redis::cmd("ROLE")).await?;
        let first = if let Value::Array(parts) = &role { parts.first() } else { None };
        match first {
            Some(Value::BulkString(word)) if word == b"master" => Ok(()),
            _ => Err((ErrorKind::Client, "the sentinels name a server that is no master").into()),
        }
    }
}

async fn to_server(client: &Client, settings: &Settings) -> RedisResult<Link> {
    let info = client.get_connection_info();
    let Some(stream) = plain(info.addr()).await? else {
        return open(client, settings).await.map(|server| Link::Foreign(Foreign::Server(server)));
    };
    let wire = Wire::new(stream, settings.document.max_waiting as usize * DUE);
    greet(&wire, info.redis_settings(), Instant::now() + settings.connect_timeout).await?;
    Ok(Link::Own(Rc::new(wire)))
}

/// A stream that needs nothing more. `None`: TLS does.
async fn plain(address: &ConnectionAddr) -> RedisResult<Option<Stream>> {
    if let ConnectionAddr::Tcp(host, port) = address {
        let stream = TcpStream::connect((bare(host), *port)).await?;
        stream.set_nodelay(true)?;
        return Ok(Some(stream.into()));
    }
    if let ConnectionAddr::Unix(path) = address {
        return Ok(Some(UnixStream::connect(path).await?.into()));
    }
    Ok(None)
}

/// An address of IPv6 may come in the brackets of its URL.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.filter(|inner| inner.parse::<Ipv6Addr>().is_ok()).unwrap_or(host)
}

/// Says who asks, and which database is meant.
async fn greet(wire: &Wire, login: &RedisConnectionInfo, deadline: Instant) -> RedisResult<()> {
    let refused = |failure: Failure| match failure {
        Failure::Refused(words) => {
            RedisError::from((ErrorKind::AuthenticationFailed, "the server refuses the connection", words))
        }
        Failure::Late | Failure::Full => (ErrorKind::Io, "no connection in time").into(),
        Failure::Lost(why) => (ErrorKind::Io, "the connection broke", why.to_string()).into(),
    };
    if let Some(password) = login.password() {
        let words = [Some("AUTH"), login.username(), Some(password)];
        let words: Vec<&[u8]> = words.into_iter().flatten().map(str::as_bytes).collect();
        wire.say(&words, deadline).await.map_err(refused)?;
    }
    if login.db() != 0 {
        let number = login.db().to_string();
        wire.say(&[b"SELECT", number.as_bytes()], deadline).await.map_err(refused)?;
    }
    Ok(())
}

async fn open(client: &Client, settings: &Settings) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.connect_timeout))
        // Each call has a deadline of its own, shorter than any of the client's.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(settings.document.max_waiting as usize);
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn find_master(
    sentinels: &[Client],
    master: &str,
    login: &RedisConnectionInfo,
    settings: &Settings,
) -> RedisResult<Client> {
    let mut last: RedisError = (ErrorKind::EmptySentinelList, "there are no sentinels").into();
    for sentinel in sentinels {
        match ask_sentinel(sentinel, master, settings).await {
            Ok((host, port)) => {
                let info = sentinel.get_connection_info();
                let addr = beside(info, host, port);
                return Client::open(info.clone().set_addr(addr).set_redis_settings(login.clone()));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_sentinel(sentinel: &Client, master: &str, settings: &Settings) -> RedisResult<(String, u16)> {
    let asking = async {
        let mut link = Foreign::Server(open(sentinel, settings).await?);
        link.call(redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(master)).await
    };
    // One that hangs must not keep the others from being asked.
    let answer = tokio::time::timeout(settings.connect_timeout / 2, asking).await;
    let late = |_| RedisError::from((ErrorKind::Io, "a sentinel does not answer"));
    let found: Option<(String, u16)> = redis::from_redis_value(answer.map_err(late)??)?;
    found.ok_or_else(|| (ErrorKind::MasterNameNotFoundBySentinel, "the sentinels know no such master").into())
}

/// The address of a server that is spoken to as the sentinel is: with TLS or without.
fn beside(sentinel: &ConnectionInfo, host: String, port: u16) -> ConnectionAddr {
    if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = sentinel.addr() {
        return ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() };
    }
    ConnectionAddr::Tcp(host, port)
}
