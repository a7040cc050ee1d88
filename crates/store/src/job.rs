//! [`Job`]: a closure on its way to the thread that runs it, and [`Ticket`], the caller's end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use loopd_types::Problem;
use tokio::sync::oneshot;

use crate::reader::Hook;
use crate::{StoreError, Tx, View};

/// How a job wants to be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Statement by statement, each seeing the newest state.
    Read,
    /// One read-only snapshot.
    ReadLong,
    /// One read-only snapshot without a time limit: an export.
    ReadUnlimited,
    Write,
    /// A write without a time limit: migrations.
    WriteUnlimited,
}

/// What a closure made, without its type: one job and one ticket are compiled for all of the program's nine hundred closures.
pub type Made = Box<dyn Any + Send>;

/// A closure without its type.
pub type Work = Box<dyn Fn(&mut Tx<'_>) -> Result<Made, Problem> + Send>;

/// A closure on its way, and then its outcome.
pub struct Job {
    pub view: View,
    pub mode: Mode,
    work: Work,
    outcome: Option<Result<Made, Problem>>,
    reply: oneshot::Sender<Result<Made, Problem>>,
    gate: Arc<Gate>,
}

impl Job {
    /// Wraps a closure; the caller keeps the ticket.
    pub fn new(view: View, mode: Mode, work: Work) -> (Job, Ticket) {
        let (reply, answer) = oneshot::channel();
        let gate = Arc::new(Gate(AtomicU8::new(WAITING)));
        let job = Job { view, mode, work, outcome: None, reply, gate: Arc::clone(&gate) };
        (job, Ticket { answer, gate })
    }

    /// Takes the job for running; `false` when its caller has given up waiting.
    pub fn start(&self) -> bool {
        self.gate.start()
    }

    /// Runs the closure and keeps its outcome; `true` when it wants its work committed.
    pub fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let outcome = guarded(|| (self.work)(tx));
        let wanted = outcome.is_ok();
        self.outcome = Some(outcome);
        wanted
    }

    /// Answers the caller: with the closure's own outcome, or with what became of it.
    pub fn answer(self, fate: Result<(), Problem>) {
        let answer = match (fate, self.outcome) {
            (Err(problem), _) => Err(problem),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Problem::internal("a job was answered before it ran")),
        };
        // The caller may be gone: what was committed stays committed.
        let _ = self.reply.send(answer);
    }
}

/// The caller's end of a job.
pub struct Ticket {
    answer: oneshot::Receiver<Result<Made, Problem>>,
    gate: Arc<Gate>,
}

impl Ticket {
    /// Waits for the answer. A job that has not begun after `limit` is called off; one that has is waited for, because
    /// it may be committed.
    ///
    /// # Errors
    /// `Err(None)` when it was called off, `Err(Some(_))` as answered.
    pub async fn wait(mut self, limit: Duration) -> Result<Made, Option<Problem>> {
        let answer = match tokio::time::timeout(limit, &mut self.answer).await {
            Ok(answer) => answer,
            Err(_) if self.gate.abandon() => return Err(None),
            Err(_) => self.answer.await,
        };
        match answer {
            Ok(answer) => answer.map_err(Some),
            Err(_) => Err(Some(Problem::unavailable("the database thread has ended"))),
        }
    }
}

/// Decides between a runner that takes the job and a caller that gives up.
struct Gate(AtomicU8);

const WAITING: u8 = 0;
const STARTED: u8 = 1;
const ABANDONED: u8 = 2;

impl Gate {
    fn start(&self) -> bool {
        self.0.compare_exchange(WAITING, STARTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
    fn abandon(&self) -> bool {
        self.0.compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Runs a closure so that its panic is a 500 and nothing more.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic_words(&*panic);
        tracing::error!(panic = words, "a database closure panicked");
        Err(Problem::internal(format!("panic in a database closure: {words}")))
    })
}

/// Runs what was left with [`Tx::on_commit`].
pub fn run_hooks(hooks: Vec<Hook>) {
    for hook in hooks {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
            tracing::error!(panic = panic_words(&*panic), "a commit hook panicked");
        }
    }
}

fn panic_words(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}

/// What the caller is told about work that the database itself made impossible, whatever the closure made of it.
pub fn overrides(failure: &StoreError) -> bool {
    matches!(
        failure,
        StoreError::Serialization | StoreError::Timeout(_) | StoreError::Full(_) | StoreError::Unavailable(_)
    )
}
