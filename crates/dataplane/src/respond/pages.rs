//! Error pages: what a refusal looks like to a browser, or in words of the configuration's own. By status and `Accept`.
//!
//! A page is a template. What is put into it is escaped for the form it takes, always: a request id may come from a
//! trusted proxy, and a message may quote the configuration.

use std::sync::Arc;

use crate::http1::reason;
use crate::request::Request;
use crate::respond::negotiate::media_quality;
use crate::snapshot::document::{ErrorPageDocument, ErrorPagesDocument};

/// The page of the gateway's own, where the configuration asks for it.
const BUILT_IN: &str = include_str!("error_page.html");

/// The pages of a route, or of what no route was found for.
#[derive(Debug, Default)]
pub struct Pages {
    pages: Vec<Page>,
    built_in: Option<Template>,
    intercept: bool,
}

#[derive(Debug)]
struct Page {
    statuses: Vec<u16>,
    /// `4` for every 4xx.
    classes: Vec<u16>,
    html: Option<Template>,
    json: Option<Template>,
}

/// What a refusal is to look like.
#[derive(Clone, Copy, Debug)]
pub enum Form<'p> {
    /// The gateway's own JSON.
    Plain,
    Json(&'p Template),
    Html(&'p Template),
}

/// A form, and whether another `Accept` would have given another.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'p> {
    pub form: Form<'p>,
    pub varies: bool,
}

impl Pages {
    pub fn compile(document: &ErrorPagesDocument) -> Arc<Self> {
        Arc::new(Self {
            pages: document.pages.iter().map(Page::compile).collect(),
            built_in: document.built_in.then(|| Template::compile(BUILT_IN)),
            intercept: document.intercept,
        })
    }

    /// A failure of the service is told in the gateway's words instead of its own.
    pub fn intercepts(&self, status: u16) -> bool {
        self.intercept && status >= 500
    }

    /// HTML only for those who would rather have it than JSON: programs that take anything get JSON.
    pub fn choose(&self, request: &Request, status: u16) -> Choice<'_> {
        let html = self.find(status, |page| page.html.as_ref()).or(self.built_in.as_ref());
        let json = self.find(status, |page| page.json.as_ref()).map_or(Form::Plain, Form::Json);
        let Some(html) = html else { return Choice { form: json, varies: false } };
        let accept = || request.values(b"accept");
        let is_html =
            media_quality(accept(), "text", "html") > media_quality(accept(), "application", "json");
        Choice { form: if is_html { Form::Html(html) } else { json }, varies: true }
    }

    /// A page for exactly this status before one for its class; of equals the first.
    fn find<'p>(
        &'p self,
        status: u16,
        template: impl Fn(&'p Page) -> Option<&'p Template>,
    ) -> Option<&'p Template> {
        let exact = self.pages.iter().filter(|page| page.statuses.contains(&status)).find_map(&template);
        exact.or_else(|| {
            self.pages.iter().filter(|page| page.classes.contains(&(status / 100))).find_map(&template)
        })
    }
}

impl Page {
    fn compile(document: &ErrorPageDocument) -> Self {
        Self {
            statuses: document.statuses.clone(),
            classes: document.classes.clone(),
            html: document.html.as_deref().map(Template::compile),
            json: document.json.as_deref().map(Template::compile),
        }
    }
}

/// What a template may tell.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    pub status: u16,
    pub error: &'a str,
    pub message: &'a str,
    pub request_id: &'a str,
    /// In seconds.
    pub retry_after: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Status,
    Reason,
    Error,
    Message,
    RequestId,
    RetryAfter,
}

const WORDS: [(&str, Word); 6] = [
    ("{status}", Word::Status),
    ("{reason}", Word::Reason),
    ("{error}", Word::Error),
    ("{message}", Word::Message),
    ("{request_id}", Word::RequestId),
    ("{retry_after}", Word::RetryAfter),
];

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Word(Word),
}

/// Text with places for words. Braces around anything else are text, as style sheets and scripts need them.
#[derive(Debug)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    fn compile(mut text: &str) -> Self {
        let mut parts = Vec::new();
        while let Some((at, name, word)) = first_word(text) {
            let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
            parts.push(Part::Text(before.into()));
            parts.push(Part::Word(word));
            text = rest.get(name.len()..).unwrap_or_default();
        }
        parts.push(Part::Text(text.into()));
        Self { parts }
    }

    fn fill(&self, words: &Words<'_>, escape: impl Fn(&str, &mut String)) -> Vec<u8> {
        let mut out = String::with_capacity(1024);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Word(Word::Status) => escape(itoa::Buffer::new().format(words.status), &mut out),
                Part::Word(Word::Reason) => {
                    escape(std::str::from_utf8(reason::phrase(words.status)).unwrap_or_default(), &mut out);
                }
                Part::Word(Word::Error) => escape(words.error, &mut out),
                Part::Word(Word::Message) => escape(words.message, &mut out),
                Part::Word(Word::RequestId) => escape(words.request_id, &mut out),
                Part::Word(Word::RetryAfter) => {
                    if let Some(seconds) = words.retry_after {
                        escape(itoa::Buffer::new().format(seconds), &mut out);
                    }
                }
            }
        }
        out.into_bytes()
    }

    pub fn html(&self, words: &Words<'_>) -> Vec<u8> {
        self.fill(words, escape_html)
    }

    pub fn json(&self, words: &Words<'_>) -> Vec<u8> {
        self.fill(words, escape_json)
    }
}

/// A page that leads on by itself: for browsers that keep cookies from redirects between sites.
pub fn leading_to(location: &str) -> Vec<u8> {
    let mut page = String::from("<!doctype html><meta http-equiv=\"refresh\" content=\"0; url=");
    escape_html(location, &mut page);
    page.push_str("\"><title>Logged in</title><a href=\"");
    escape_html(location, &mut page);
    page.push_str("\">Go on</a>\n");
    page.into_bytes()
}

/// Where the first word stands, what it is called and which it is.
fn first_word(text: &str) -> Option<(usize, &'static str, Word)> {
    let found = WORDS.iter().filter_map(|(name, word)| text.find(name).map(|at| (at, *name, *word)));
    found.min_by_key(|(at, _, _)| *at)
}

pub(super) fn escape_html(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// As the inside of a JSON text.
fn escape_json(text: &str, out: &mut String) {
    let quoted = serde_json::Value::from(text).to_string();
    out.push_str(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words<'_> =
        Words { status: 429, error: "a&b", message: "\"<'", request_id: "id-1", retry_after: Some(7) };

    fn html(template: &str) -> String {
        String::from_utf8(Template::compile(template).html(&WORDS)).unwrap()
    }

    #[test]
    fn words_are_escaped_and_all_else_stays_as_it_is() {
        let filled = html("a{b:c} {status} {reason} {error} {message} {request_id} {retry_after} {x} {");
        assert_eq!(filled, "a{b:c} 429 Too Many Requests a&amp;b &quot;&lt;&#39; id-1 7 {x} {");
        let json = Template::compile(r#"{"a": "{message}", "b": {}}"#).json(&WORDS);
        assert_eq!(json, br#"{"a": "\"<'", "b": {}}"#);
    }

    #[test]
    fn what_a_word_holds_is_no_template() {
        let words = Words { message: "{error}", retry_after: None, ..WORDS };
        let filled = Template::compile("{message}{retry_after}").html(&words);
        assert_eq!(filled, b"{error}");
    }

    #[test]
    fn an_exact_status_goes_before_its_class_wherever_it_stands() {
        let page = |statuses: &[u16], classes: &[u16], html: &str| ErrorPageDocument {
            statuses: statuses.to_vec(),
            classes: classes.to_vec(),
            html: Some(html.to_owned()),
            json: None,
        };
        let pages =
            vec![page(&[], &[5], "class"), page(&[502, 404], &[], "exact"), page(&[404], &[], "late")];
        let pages = Pages::compile(&ErrorPagesDocument { pages, built_in: false, intercept: false });
        let mut request = Request::new(std::net::Ipv4Addr::LOCALHOST.into());
        let name = request.append(b"accept");
        let value = request.append(b"text/html, */*;q=0.1");
        request.headers.push(crate::request::Header { name, value, ..Default::default() });
        let chosen = |status| match pages.choose(&request, status).form {
            Form::Html(template) => String::from_utf8(template.html(&WORDS)).unwrap(),
            Form::Json(_) | Form::Plain => "plain".to_owned(),
        };
        assert_eq!([500, 502, 404, 400].map(chosen), ["class", "exact", "exact", "plain"]);
    }

    #[test]
    fn the_built_in_page_has_every_word_and_no_script() {
        let page = html(BUILT_IN);
        for word in ["429", "Too Many Requests", "a&amp;b", "&quot;&lt;&#39;", "id-1"] {
            assert!(page.contains(word), "{word}");
        }
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    }
}
