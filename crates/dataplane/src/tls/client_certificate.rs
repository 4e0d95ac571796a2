//! What a client's certificate says, read once a connection. Its chain and its key have been verified by the handshake.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::snapshot::document::CertificateFieldDocument;

/// A name longer than this is not passed on to services, and no caller is called by it.
const MAX_HEADER: usize = 4096;

/// The facts of a certificate that was verified.
#[derive(Debug, Default)]
pub struct ClientCertificate {
    common_names: Vec<String>,
    dns: Vec<String>,
    uris: Vec<String>,
    emails: Vec<String>,
    not_after_ms: u64,
    fingerprint: [u8; 32],
    /// `X-Client-Cert-*` lines for services.
    lines: Vec<u8>,
}

impl ClientCertificate {
    /// `None` where the certificate cannot be read: what nobody can read proves nothing.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut read = Self {
            common_names: certificate
                .subject()
                .iter_common_name()
                .map(|name| name.as_str().ok().map(str::to_owned))
                .collect::<Option<_>>()?,
            not_after_ms: u64::try_from(certificate.validity().not_after.timestamp())
                .ok()?
                .saturating_mul(1000),
            ..Self::default()
        };
        read.fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
        let mut alternatives = String::new();
        if let Some(names) = certificate.subject_alternative_name().ok()? {
            for name in &names.value.general_names {
                read.take(name, &mut alternatives);
            }
        }
        read.write_lines(&subject(certificate.subject())?, &alternatives);
        Some(read)
    }

    fn take(&mut self, name: &GeneralName<'_>, alternatives: &mut String) {
        let (kind, list, text) = match name {
            GeneralName::DNSName(text) => ("DNS", &mut self.dns, text),
            GeneralName::URI(text) => ("URI", &mut self.uris, text),
            GeneralName::RFC822Name(text) => ("email", &mut self.emails, text),
            // Addresses and directory names are no callers.
            GeneralName::OtherName(..)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::IPAddress(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => return,
        };
        if !alternatives.is_empty() {
            alternatives.push_str(", ");
        }
        alternatives.push_str(kind);
        alternatives.push(':');
        // A comma within a name would look like the end of it.
        escape(text, ",", alternatives);
        list.push((*text).to_owned());
    }

    fn write_lines(&mut self, subject: &str, alternatives: &str) {
        let mut lines = String::from("x-client-cert-verified: true\r\n");
        let mut fingerprint = String::with_capacity(64);
        for byte in &self.fingerprint {
            // Writing into memory cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        for (name, value) in [("subject", subject), ("san", alternatives), ("fingerprint", &fingerprint)] {
            if (1..=MAX_HEADER).contains(&value.len()) {
                let _ = write!(lines, "x-client-cert-{name}: {value}\r\n");
            }
        }
        self.lines = lines.into_bytes();
    }

    /// The first name of this kind. Of several common names none is the one.
    pub fn name(&self, field: CertificateFieldDocument) -> Option<&str> {
        match field {
            CertificateFieldDocument::SubjectCn => match &*self.common_names {
                [only] => Some(only),
                [] | [_, _, ..] => None,
            },
            CertificateFieldDocument::SanDns => self.dns.first().map(String::as_str),
            CertificateFieldDocument::SanUri => self.uris.first().map(String::as_str),
            CertificateFieldDocument::SanEmail => self.emails.first().map(String::as_str),
        }
    }

    /// The handshake checked the times, but a connection may outlive its certificate.
    pub fn is_expired(&self, unix_ms: u64) -> bool {
        unix_ms > self.not_after_ms
    }

    /// SHA-256 of the whole certificate.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

/// By RFC 4514: the most specific part first, and everything in one line of ASCII.
fn subject(name: &X509Name<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for part in name.iter_rdn() {
        let mut text = String::new();
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            text.push_str(&short_name(&attribute.attr_type().to_id_string()));
            text.push('=');
            escape(attribute.as_str().ok()?, ",+=;<>\"\\", &mut text);
        }
        parts.push(text);
    }
    parts.reverse();
    Some(parts.join(","))
}

fn short_name(identifier: &str) -> String {
    let short = match identifier {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    };
    short.to_owned()
}

/// Whatever is not visible ASCII, a `%`, and `special`, as `%` and two hexadecimal digits for each byte: nothing that a
/// name holds can end a line or pass for another part.
fn escape(text: &str, special: &str, out: &mut String) {
    for byte in text.bytes() {
        let is_plain = matches!(byte, 0x20..=0x7e) && byte != b'%' && !special.as_bytes().contains(&byte);
        if is_plain {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_neither_end_a_line_nor_pass_for_two() {
        let mut out = String::new();
        escape("a, DNS:b\r\nx: \u{e9}%\0", ",", &mut out);
        assert_eq!(out, "a%2C DNS:b%0D%0Ax: %C3%A9%25%00");
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        assert!(ClientCertificate::read(b"").is_none());
        assert!(ClientCertificate::read(&[0x30, 0x82, 0xff, 0xff, 0x30]).is_none());
    }
}
