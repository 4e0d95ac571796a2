//! The page that a browser gets where its network has to prove something: it works on a small puzzle, or is sent to a
//! page that asks. Programs get JSON like any other refusal.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::refusal::Ticket;
use crate::request::Request;
use crate::respond::negotiate::media_quality;
use crate::respond::pages::escape_html;

const PAGE: &str = include_str!("challenge_page.html");
const ELSEWHERE: &str = include_str!("challenge_elsewhere.html");
const SCRIPT: &str = include_str!("challenge.js");

/// What the pages may load: their own style, and this one script.
static POLICY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, SCRIPT.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
    .into_bytes()
});

pub fn policy() -> &'static [u8] {
    &POLICY
}

/// Browsers say that they would rather have HTML; a program that takes anything cannot do the work.
pub fn is_for_browser(request: &Request) -> bool {
    let accept = || request.values(b"accept");
    media_quality(accept(), "text", "html") > media_quality(accept(), "application", "json")
}

pub fn page(ticket: &Ticket, request_id: &str) -> Vec<u8> {
    let mut id = String::new();
    escape_html(request_id, &mut id);
    if let Some(address) = &ticket.elsewhere {
        let mut elsewhere = String::new();
        escape_html(address, &mut elsewhere);
        return ELSEWHERE.replace("{request_id}", &id).replace("{elsewhere}", &elsewhere).into_bytes();
    }
    // The id is the only part that is not ours, so it comes last: what it holds is no place for anything.
    PAGE.replace("{script}", SCRIPT)
        .replace("{seed}", &ticket.seed)
        .replace("{time}", &ticket.seconds.to_string())
        .replace("{difficulty}", &ticket.difficulty.to_string())
        .replace("{lifetime}", &ticket.lifetime.to_string())
        .replace("{request_id}", &id)
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(elsewhere: Option<&str>) -> Ticket {
        let elsewhere = elsewhere.map(Into::into);
        Ticket { seed: "5eed".into(), seconds: 12, difficulty: 17, lifetime: 3600, elsewhere }
    }

    fn text(elsewhere: Option<&str>, id: &str) -> String {
        String::from_utf8(page(&ticket(elsewhere), id)).unwrap()
    }

    #[test]
    fn the_page_tells_the_script_what_to_do_and_leaves_it_as_its_hash_says() {
        let page = text(None, "<id>");
        for part in [r#"data-seed="5eed""#, r#"data-time="12""#, r#"data-difficulty="17""#, "&lt;id&gt;"] {
            assert!(page.contains(part), "{part}");
        }
        let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        assert_eq!(script, SCRIPT);
        assert!(!page.contains("http://") && !page.contains("https://"), "it calls nobody");
    }

    #[test]
    fn an_address_of_the_configuration_cannot_break_out_of_its_place() {
        let page = text(Some("https://c.test/?a=1&b=\"><script>"), "id");
        assert!(page.contains("https://c.test/?a=1&amp;b=&quot;&gt;&lt;script&gt;"));
        assert!(!page.contains("<script>"));
    }
}
