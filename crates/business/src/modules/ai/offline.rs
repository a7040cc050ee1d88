//! The offline advisor: says what was found out, as it was found out. Always there, always the same for the same rows.

use loopd_kernel::advisor::{Advice, Advisor, Answering, Outcome, Question, Task, Working};

use super::texts;

/// Words facts without a model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

impl Advisor for Offline {
    fn is_outside(&self) -> bool {
        false
    }

    fn advise<'a>(&'a self, question: &'a Question) -> Answering<'a> {
        let text = question.facts.iter().map(|fact| fact.words.as_str()).collect::<Vec<_>>().join("\n\n");
        let advice = Advice {
            input_tokens: tokens(&question.prompt),
            output_tokens: tokens(&text),
            model: "offline".to_owned(),
            text,
        };
        Box::pin(async move { Ok(advice) })
    }

    fn work<'a>(&'a self, task: &'a Task) -> Working<'a> {
        Box::pin(async move {
            let result = texts::perform(task);
            Ok(Outcome {
                input_tokens: tokens(&texts::data(task).to_string()),
                output_tokens: tokens(&result.to_string()),
                model: "offline".to_owned(),
                result,
            })
        })
    }
}

/// A rough count in the models' unit, four characters a token, so that usage can be compared whoever answers.
fn tokens(text: &str) -> i64 {
    i64::try_from(text.chars().count().div_ceil(4)).unwrap_or(i64::MAX)
}
