//! An error as a log line tells it.

use std::error::Error;
use std::fmt;

/// The error and all its causes, on one line: `redis is unavailable: connecting failed: connection refused`. A cause that
/// the text before it ends with already is not said twice.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> impl fmt::Display + 'a {
    fmt::from_fn(move |out| {
        let mut said = error.to_string();
        out.write_str(&said)?;
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(out, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let mut texts = texts.iter().rev();
        let last = Layer(texts.next().unwrap(), None);
        texts.fold(last, |cause, text| Layer(text, Some(Box::new(cause))))
    }

    #[test]
    fn every_cause_is_told_once() {
        assert_eq!(chain(&layers(&["alone"])).to_string(), "alone");
        assert_eq!(
            chain(&layers(&["lost it", "reading failed", "reset by peer"])).to_string(),
            "lost it: reading failed: reset by peer"
        );
        // As of libraries that write the cause into their own text, and of transparent layers.
        assert_eq!(
            chain(&layers(&["sending: refused", "refused", "os error"])).to_string(),
            "sending: refused: os error"
        );
        assert_eq!(chain(&layers(&["same", "same", "deep"])).to_string(), "same: deep");
        assert_eq!(chain(&layers(&["told", ""])).to_string(), "told");
    }
}
