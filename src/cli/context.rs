use std::sync::Arc;

use super::connect::Connector;
use super::console::Console;
use super::failure::Failure;
use crate::client::Client;
use crate::config::Settings;

/// What is wrong with the configuration, for `doctor`: `FILE:LINE:COLUMN: what`.
#[derive(Clone, Debug, Default)]
pub(super) struct Mistakes {
    /// Keeps engines from starting.
    pub(super) engine: Option<String>,
    /// The screen goes on without what is wrong.
    pub(super) screen: Vec<String>,
}

/// What every verb works with.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) console: Console,
    /// As given with `-n`.
    pub(super) given_namespace: Option<String>,
    pub(super) mistakes: Mistakes,
    connector: Connector,
    client: Option<Arc<dyn Client>>,
}

impl Context {
    pub(super) fn new(
        settings: Settings,
        console: Console,
        namespace: Option<String>,
        connector: Connector,
    ) -> Self {
        Self {
            settings,
            console,
            given_namespace: namespace.filter(|namespace| !namespace.is_empty()),
            mistakes: Mistakes::default(),
            connector,
            client: None,
        }
    }

    pub(super) fn namespace(&self) -> String {
        self.given_namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned())
    }

    /// The connection, made at first use.
    pub(super) async fn client(&mut self) -> Result<Arc<dyn Client>, Failure> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = self.connector.connect().await?;
        self.client = Some(client.clone());
        Ok(client)
    }
}
