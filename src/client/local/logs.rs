use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::Local;
use super::session::choose;
use crate::client::LogOptions;
use crate::model::{ApiError, Reason};

pub(super) async fn logs(
    local: &Local,
    namespace: &str,
    name: &str,
    options: LogOptions,
) -> Result<BoxStream<'static, Result<Bytes, ApiError>>, ApiError> {
    let pod = local.pod(namespace, name)?;
    let _container = choose(&pod, options.container.as_deref())?;
    Err(ApiError::new(
        Reason::NotImplemented,
        "reading container logs is not supported yet",
    ))
}
