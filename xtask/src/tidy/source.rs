//! Tells the code of a Rust file from its comments and literals: the least of a lexer that is needed to say whether a
//! word is code.

/// A Rust file taken apart. All three have the file's lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The code, with comments and the content of string and character literals replaced by blanks.
    pub(super) code: Vec<String>,
    /// The comments alone.
    pub(super) comments: Vec<String>,
    /// Whether a line lies in an item under `#[cfg(test)]`.
    pub(super) is_test: Vec<bool>,
}

/// Takes a file apart. Total: code that does not compile comes out somehow.
pub(super) fn split(text: &str) -> Source {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let mut at = 0;
    while at < chars.len() {
        let (kind, end) = token(&chars, at);
        for (index, &c) in chars[at..end].iter().enumerate() {
            let in_code = kind == Kind::Code || (kind == Kind::Literal && (index == 0 || at + index + 1 == end));
            code.push(if in_code || c == '\n' { c } else { ' ' });
            comments.push(if kind == Kind::Comment || c == '\n' { c } else { ' ' });
        }
        at = end;
    }
    let lines = |text: String| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let is_test = test_lines(&code);
    Source { code: lines(code), comments: lines(comments), is_test }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The kind of what begins at `at`, and where it ends (beyond `at`, at most the length).
fn token(chars: &[char], at: usize) -> (Kind, usize) {
    let rest = &chars[at..];
    match rest {
        ['/', '/', ..] => (Kind::Comment, at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (Kind::Comment, at + block_comment(rest)),
        ['"', ..] => (Kind::Literal, at + quoted(rest, '"')),
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => (Kind::Literal, at + quoted(rest, '\'')),
        [c, ..] if is_word(*c) => {
            let word = rest.iter().position(|&c| !is_word(c)).unwrap_or(rest.len());
            let raw = matches!(rest[..word], ['r'] | ['b', 'r'] | ['c', 'r']);
            match raw.then(|| raw_string(&rest[word..])).flatten() {
                Some(length) => (Kind::Literal, at + word + length),
                None => (Kind::Code, at + word),
            }
        }
        _ => (Kind::Code, at + 1),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a block comment; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a literal between two `quote`s, with backslash escapes.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of `#"..."#` with as many `#` as there are, if that is what begins here.
fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|&&c| c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let mut at = hashes + 1;
    while at < rest.len() {
        let closes = rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
        at += 1;
        if closes {
            return Some(at + hashes);
        }
    }
    Some(rest.len())
}

/// For each line whether an item under `#[cfg(test)]` covers it: from the attribute to the item's closing brace or
/// its semicolon, whichever comes first outside other brackets.
fn test_lines(code: &str) -> Vec<bool> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut is_test = vec![false; code.split('\n').count()];
    let line = |at: usize| code[..at].matches('\n').count();
    let mut from = 0;
    while let Some(found) = code[from..].find(ATTRIBUTE) {
        let start = from + found;
        let after = start + ATTRIBUTE.len();
        let mut depth = 0usize;
        let mut end = code.len();
        for (at, c) in code[after..].char_indices() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && matches!(c, ';' | '}') {
                end = after + at;
                break;
            }
        }
        is_test[line(start)..=line(end)].fill(true);
        from = end;
    }
    is_test
}

/// The words and signs of a line of code with their columns, blanks left out.
pub(super) fn words(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = code.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let mut end = start + c.len_utf8();
        if is_word(c) {
            while let Some(&(at, c)) = rest.peek().filter(|(_, c)| is_word(*c)) {
                end = at + c.len_utf8();
                rest.next();
            }
        }
        if !c.is_whitespace() {
            found.push((start, &code[start..end]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> String {
        split(text).code.join("\n")
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        let check = |text: &str, expected: &str| assert_eq!(code(text), expected, "{text}");
        check("a // unsafe\nb", "a          \nb");
        check("a /* x /* y */ z */ b", "a                   b");
        check(r#"f("unsafe \" x", 'u', '\'', b'x')"#, r#"f("           ", ' ', '  ', b' ')"#);
        check(r###"r#"a " b"# c"###, r###"r        # c"###);
        check(r#"r"\" x"#, r#"r  " x"#);
        check("br##\"\"# \"## x", "b         # x");
        check("r#unsafe 'life x: &'a T", "r#unsafe 'life x: &'a T");
        check("'a: loop { break 'a }", "'a: loop { break 'a }");
        check("bar\"x\"", "bar\" \"");
        check("\"open", "\"   n");
    }

    #[test]
    fn comments_are_kept_by_line() {
        let source = split("a; // one\n/* two\nthree */ b; \"// no\"\n/// doc");
        assert_eq!(
            source.comments.iter().map(|line| line.trim()).collect::<Vec<_>>(),
            ["// one", "/* two", "three */", "/// doc"]
        );
    }

    #[test]
    fn items_under_cfg_test() {
        let check = |text: &str, expected: &[bool]| assert_eq!(split(text).is_test, expected, "{text}");
        check("a\n#[cfg(test)]\nmod tests {\n  fn a() { b }\n}\nc", &[false, true, true, true, true, false]);
        check("#[cfg(test)]\nmod tests;\nc", &[true, true, false]);
        check("#[cfg(test)]\n#[path = \"x\"]\nmod t;\nc", &[true, true, true, false]);
        check("#[cfg(test)]\nfn a(x: [u8; 2]) {\n}\nc", &[true, true, true, false]);
        check("// #[cfg(test)]\nmod tests {\n}", &[false, false, false]);
        check("#[cfg(test)] use a;\n#[cfg(test)] use b;\nc", &[true, true, false]);
    }

    #[test]
    fn words_of_a_line() {
        let found: Vec<&str> = words("let x_1 = unsafe{ é.f() };").into_iter().map(|(_, word)| word).collect();
        assert_eq!(found, ["let", "x_1", "=", "unsafe", "{", "é", ".", "f", "(", ")", "}", ";"]);
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_lines(text in "[a-z/*\"'r#\\\\{}\n ]{0,60}") {
            let source = split(&text);
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert_eq!(source.code.len(), lines.len());
            prop_assert_eq!(source.comments.len(), lines.len());
            prop_assert_eq!(source.is_test.len(), lines.len());
            for (line, (code, comment)) in lines.iter().zip(source.code.iter().zip(&source.comments)) {
                prop_assert_eq!(line.chars().count(), code.chars().count());
                prop_assert_eq!(line.chars().count(), comment.chars().count());
                for (c, (in_code, in_comment)) in line.chars().zip(code.chars().zip(comment.chars())) {
                    prop_assert!(in_code == c || in_code == ' ');
                    prop_assert!(in_comment == c || in_comment == ' ');
                    prop_assert!(c == ' ' || !(in_code == c && in_comment == c));
                }
            }
        }
    }
}
