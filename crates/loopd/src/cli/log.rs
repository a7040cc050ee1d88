//! The log on standard error: one line for each event, which names the request that it happened in.
//!
//! The request is known from [`trace::with_current`]; a `tracing` span for each request would cost each of them two allocations and
//! a look into the registry at every step, also where nothing is ever logged.

use std::fmt;

use loopd_kernel::trace;
use loopd_types::hex;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::LogFormat;

/// A subscriber that writes events of `filter` to `out`.
pub fn subscriber<W>(filter: &str, format: LogFormat, ansi: bool, out: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(out).with_ansi(ansi);
    // Where nobody reads the log any more, telling of it there would panic, in whatever work had something to say.
    let builder = builder.log_internal_errors(false);
    match format {
        LogFormat::Json => {
            let json = builder.json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(json.map_event_format(OfRequest).finish())
        }
        LogFormat::Pretty => Box::new(builder.with_target(false).map_fmt_fields(OfRequest).finish()),
    }
}

/// Adds the request's id, and its trace's, to what the formatter within writes.
struct OfRequest<F>(F);

impl<S, N, F> FormatEvent<S, N> for OfRequest<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    /// A JSON object, whose first members become the ids: they hold no character that JSON escapes.
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let Some(rest) = line.strip_prefix('{') else { return writer.write_str(&line) };
        writer.write_char('{')?;
        each_id(|name, id| write!(writer, "\"{name}\":\"{id}\","))?;
        writer.write_str(rest)
    }
}

impl<'w, F: for<'f> FormatFields<'f>> FormatFields<'w> for OfRequest<F> {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        self.0.format_fields(writer.by_ref(), fields)?;
        each_id(|name, id| write!(writer, " {name}={id}"))
    }
}

fn each_id(mut write: impl FnMut(&str, &str) -> fmt::Result) -> fmt::Result {
    let written = trace::with_current(|request| {
        write("request_id", &request.request_id)?;
        match &request.traced {
            Some((_, at)) => write("trace_id", &hex(&at.trace)),
            None => Ok(()),
        }
    });
    written.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use loopd_kernel::trace::{self, Current};

    use super::subscriber;
    use crate::settings::LogFormat;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `info!(answer = 42, "said")`, in a request and outside of one.
    async fn logged(format: LogFormat) -> [String; 2] {
        let kept = Kept::default();
        let out = kept.clone();
        let _guard = tracing::subscriber::set_default(subscriber("info", format, false, move || out.clone()));
        let request = Current { request_id: "r-1".into(), traced: None };
        trace::within(request, async { tracing::info!(answer = 42, "said") }).await;
        tracing::info!(answer = 42, "said");
        tracing::debug!("not said");
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.try_into().expect("two lines")
    }

    #[tokio::test]
    async fn a_json_line_names_its_request() {
        let lines = logged(LogFormat::Json).await.map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(
                (&line["message"], &line["answer"], &line["level"]),
                (&"said".into(), &42.into(), &"INFO".into())
            );
            line
        });
        assert_eq!(lines[0]["request_id"], "r-1");
        assert!(lines[1].get("request_id").is_none(), "{}", lines[1]);
    }

    #[tokio::test]
    async fn a_line_for_people_names_its_request() {
        let [within, without] = logged(LogFormat::Pretty).await;
        assert!(within.ends_with(" INFO said answer=42 request_id=r-1"), "{within}");
        assert!(without.ends_with(" INFO said answer=42"), "{without}");
    }
}
