//! Claims of a JSON Web Token, read without checking its signature: the server does that.

use crate::sync::values::json;

/// Returns whether the text has the form of a JWT: three parts, the first of which is an object.
pub fn is_jwt(token: &str) -> bool {
    let header = token.split('.').next().and_then(base64url).unwrap_or_default();
    header.trim_ascii_start().starts_with(b"{") && token.split('.').count() == 3
}

/// Returns a claim that is a string; `None` when there is none, or the text is no JWT.
pub fn claim(token: &str, name: &str) -> Option<String> {
    if !is_jwt(token) {
        return None;
    }
    let payload = String::from_utf8(base64url(token.split('.').nth(1)?)?).ok()?;
    let members = json::members(&payload).ok()?;
    let (_, raw) = members.into_iter().rev().find(|(key, _)| key == name)?;
    json::text(raw).map(|text| text.into_owned())
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for char in text.trim_end_matches('=').bytes() {
        let digit = match char {
            b'A'..=b'Z' => char - b'A',
            b'a'..=b'z' => char - b'a' + 26,
            b'0'..=b'9' => char - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read() {
        // {"sub":"usér-1","role":"authenticated","exp":1}
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c8Opci0xIiwicm9sZSI6ImF1dGhlbnRpY2F0ZWQiLCJleHAiOjF9.sig";
        assert_eq!(claim(token, "sub").as_deref(), Some("usér-1"));
        assert_eq!(claim(token, "role").as_deref(), Some("authenticated"));
        assert_eq!(claim(token, "exp"), None);
        assert_eq!(claim("sb_publishable_x", "sub"), None);
        assert_eq!(claim("eyJ.!!.x", "sub"), None);
        // Another spelling of the same object.
        assert_eq!(claim("IHsgfQ.eyJzdWIiOiJ4In0.sig", "sub").as_deref(), Some("x"));
    }
}
