//! A connection to the store, and what is said on it.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo,
    RedisError, RedisResult, ServerErrorKind, Value,
};

use super::settings::{Settings, Target};

/// To be cloned for each call; all clones share the connection.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Whoever waits for this has a deadline of its own.
    pub(super) async fn connect(settings: &Settings) -> RedisResult<Self> {
        match &settings.target {
            Target::Server(client) => open(client, settings).await.map(Self::Server),
            Target::Sentinels { sentinels, master, login } => {
                let client = find_master(sentinels, master, login, settings).await?;
                let mut link = Self::Server(open(&client, settings).await?);
                link.check_is_master().await?;
                Ok(link)
            }
            Target::Cluster(client) => client.get_async_connection().await.map(Self::Cluster),
        }
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

/// The server has moved on to another part: nothing can be written there.
pub(super) fn is_demoted(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
        )
    )
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
        let mut link = Link::Server(open(sentinel, settings).await?);
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
