//! The header of a `.npy` file: a Python dictionary of three keys.
//!
//! ```text
//! header = '{' (key ':' value) separated by ',' '}' blanks
//! key    = 'descr' | 'fortran_order' | 'shape'          each once, in any order
//! value  = string | True | False | '(' whole numbers separated by ',' ')'
//! ```
//! Only this much of Python is understood, without recursion: the header comes from outside.

use super::NpyError;

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// Type of the elements, `<f4`.
    pub(super) descr: String,
    /// Whether the first dimension runs fastest.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads the dictionary.
    pub(super) fn parse(text: &str) -> Result<Header, NpyError> {
        let mut rest = Rest(text);
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        rest.expect('{')?;
        while !rest.take('}') {
            let key = rest.string()?;
            rest.expect(':')?;
            let is_new = match key {
                "descr" => descr.replace(rest.descr()?).is_none(),
                "fortran_order" => fortran_order.replace(rest.truth()?).is_none(),
                "shape" => shape.replace(rest.shape()?).is_none(),
                _ => return Err(NpyError::Header(format!("has an unknown key `{}`", shortened(key)))),
            };
            if !is_new {
                return Err(NpyError::Header(format!("has the key `{key}` twice")));
            }
            if !rest.take(',') {
                rest.expect('}')?;
                break;
            }
        }
        if !rest.blanks().is_empty() {
            return Err(rest.unexpected("nothing after the dictionary"));
        }
        let missing = |key| move || NpyError::Header(format!("has no key `{key}`"));
        Ok(Header {
            descr: descr.ok_or_else(missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(missing("fortran_order"))?,
            shape: shape.ok_or_else(missing("shape"))?,
        })
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Passes over blanks and gives what follows.
    fn blanks(&mut self) -> &'a str {
        self.0 = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
        self.0
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.blanks().strip_prefix(wanted);
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), NpyError> {
        if self.take(wanted) { Ok(()) } else { Err(self.unexpected(&format!("`{wanted}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> NpyError {
        let found = if self.0.is_empty() { "its end".to_owned() } else { format!("`{}`", shortened(self.0)) };
        NpyError::Header(format!("has {found} where {wanted} was expected"))
    }

    fn string(&mut self) -> Result<&'a str, NpyError> {
        let text = self.blanks();
        let quoted = ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.split_once(quote));
        let (string, rest) = quoted.ok_or_else(|| self.unexpected("a string"))?;
        self.0 = rest;
        Ok(string)
    }

    /// The type of the elements. A list describes the fields of a record, which nobody here needs to know.
    fn descr(&mut self) -> Result<String, NpyError> {
        if self.blanks().starts_with('[') { Err(NpyError::Records) } else { Ok(self.string()?.to_owned()) }
    }

    fn truth(&mut self) -> Result<bool, NpyError> {
        let text = self.blanks();
        let words = [("True", true), ("False", false)];
        let found = words.into_iter().find_map(|(word, value)| Some((text.strip_prefix(word)?, value)));
        let (rest, value) = found.ok_or_else(|| self.unexpected("`True` or `False`"))?;
        self.0 = rest;
        Ok(value)
    }

    fn shape(&mut self) -> Result<Vec<usize>, NpyError> {
        let mut shape = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            shape.push(self.whole()?);
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }

    /// A whole number; Python 2 wrote some of them as `3L`.
    fn whole(&mut self) -> Result<usize, NpyError> {
        let text = self.blanks();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        if digits.is_empty() {
            return Err(self.unexpected("a whole number"));
        }
        self.0 = rest.strip_prefix('L').unwrap_or(rest);
        digits.parse().map_err(|_| NpyError::Header(format!("has a dimension of {}, too large", shortened(digits))))
    }
}

/// The start of a text, fit for one line of a terminal.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() { format!("{shown}...") } else { shown.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(descr: &str, fortran_order: bool, shape: &[usize]) -> Header {
        Header { descr: descr.to_owned(), fortran_order, shape: shape.to_vec() }
    }

    #[test]
    fn what_writers_write_is_read() {
        let rows = [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }    \n", header("<f4", false, &[3, 4])),
            ("{'descr': '>f8', 'fortran_order': True, 'shape': (5,), }\n", header(">f8", true, &[5])),
            ("{'descr': '<f2', 'fortran_order': False, 'shape': (), }", header("<f2", false, &[])),
            ("{\"shape\": (2, 3, 4), \"fortran_order\": False, \"descr\": \"<f4\"}", header("<f4", false, &[2, 3, 4])),
            ("{'shape':(3L,1L),'descr':'|u1','fortran_order':False}\t \n", header("|u1", false, &[3, 1])),
        ];
        for (text, expected) in rows {
            assert_eq!(Header::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let rows = [
            ("", "its end where `{`"),
            ("[]", "`[]` where `{`"),
            ("{}", "no key `descr`"),
            ("{'descr': '<f4', 'shape': (1,)}", "no key `fortran_order`"),
            ("{'descr': '<f4', 'fortran_order': False}", "no key `shape`"),
            ("{'descr': '<f4', 'descr': '<f4'}", "`descr` twice"),
            ("{'descr': '<f4', 'order': 1}", "unknown key `order`"),
            ("{'descr': '<f4'", "its end where `}`"),
            ("{'descr' '<f4'}", "where `:`"),
            ("{'descr: <f4}", "where a string"),
            ("{'descr': 4}", "where a string"),
            ("{'descr': [('a', '<f4')]}", "records"),
            ("{'fortran_order': 0}", "`True` or `False`"),
            ("{'shape': 3}", "`3}` where `(`"),
            ("{'shape': (-3,)}", "where a whole number"),
            ("{'shape': (3 4)}", "where `)`"),
            ("{'shape': (99999999999999999999,)}", "too large"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1", "nothing after the dictionary"),
            ("\u{1b}[31m", "where `{`"),
        ];
        for (text, part) in rows {
            let error = Header::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\u{1b}'), "{text}: {error}");
        }
        let long = format!("{{'{}': 1}}", "x".repeat(50_000));
        assert!(Header::parse(&long).unwrap_err().to_string().len() < 200);
    }
}
