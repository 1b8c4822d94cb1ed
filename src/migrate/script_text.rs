//! A script of a migration file as SQLite reads it: quotes, comments, and triggers, which end with `; END`. The npm
//! package has the same rules in `base/script-text.ts`.

/// The reason why a text can't be a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptFlaw {
    /// Where the flaw begins, in bytes.
    pub index: usize,
    /// What is wrong, as the text after a colon.
    pub why: &'static str,
    /// What to do.
    pub hint: &'static str,
}

/// A script, split into tokens but not parsed.
#[derive(Debug)]
pub struct ScriptText {
    /// The script, with a semicolon before each `--> statement-breakpoint` that stands in for one.
    pub sql: String,
    /// Where its first token is; `None` when there are only spaces and comments.
    pub first: Option<usize>,
    /// The first flaw, if there is one.
    pub flaw: Option<ScriptFlaw>,
}

/// drizzle-kit's end of a statement, with or without a semicolon before it.
const BREAKPOINT: &str = "--> statement-breakpoint";

/// The statement that is being read.
#[derive(Default)]
struct StatementText {
    /// The number of its pieces.
    words: usize,
    /// Where it began.
    began: usize,
    /// Whether TRIGGER may follow: CREATE [TEMP].
    creates: bool,
    /// Where the trigger began that it creates.
    trigger: Option<usize>,
    /// How much of `; END` was read.
    ending: u8,
}

/// Finds a NUL character: SQLite silently ignores the rest of a script after one.
fn nul_flaw(text: &str) -> Option<ScriptFlaw> {
    let hint = "Save it as UTF-8; in SQL the character is char(0)";
    text.find('\0').map(|index| ScriptFlaw { index, why: "there is a NUL character", hint })
}

/// Reads a script. A flaw is anything that SQLite would silently ignore, or reject only when the script runs. A
/// semicolon that drizzle-kit leaves out is added in the same line, except in a text or a trigger.
pub fn read_script(text: &str) -> ScriptText {
    let (mut sql, mut copied, mut first) = (String::new(), 0, None);
    let mut statement = StatementText::default();
    let mut flaw = nul_flaw(text);
    let mut at = 0;
    while flaw.is_none() {
        let Some((index, piece)) = next_piece(text, at) else { break };
        at = index + piece.len();
        let is_whole = statement.trigger.is_none() || statement.ending == 2;
        if piece.starts_with("--") {
            if piece.trim_end().contains('\r') {
                flaw = Some(swallowed(index));
            } else if piece.starts_with(BREAKPOINT) && statement.words > 0 && is_whole {
                sql.push_str(&text[copied..index]);
                sql.push(';');
                copied = index;
                statement = StatementText::default();
            }
            continue;
        }
        if let Some((why, hint)) = unclosed(piece, &text[index..]) {
            flaw = Some(ScriptFlaw { index, why, hint });
            continue;
        }
        if piece.len() > 1 && piece.starts_with("/*") {
            continue;
        }
        first.get_or_insert(index);
        if piece.contains('\u{fffd}') {
            flaw = Some(damaged(index));
        } else if piece == ";" && is_whole {
            statement = StatementText::default();
        } else {
            statement.add(piece, index);
        }
    }
    if flaw.is_none() && statement.ending != 2 {
        flaw = statement.trigger.map(endless);
    }
    sql.push_str(&text[copied..]);
    ScriptText { sql, first, flaw }
}

impl StatementText {
    fn add(&mut self, piece: &str, index: usize) {
        let is = |word: &str| piece.eq_ignore_ascii_case(word);
        self.words += 1;
        if self.words == 1 {
            self.began = index;
            self.creates = is("create");
        } else if self.words < 4 && self.creates {
            if is("trigger") {
                (self.trigger, self.ending) = (Some(self.began), 0);
            }
            self.creates = is("temp") || is("temporary");
        } else if piece == ";" {
            self.ending = 1;
        } else {
            self.ending = if self.ending == 1 && is("end") { 2 } else { 0 };
        }
    }
}

/// Returns the next piece from `at` on: a comment, a quoted text or name, a word, a number, or any other character, also
/// an opening mark that is never closed.
fn next_piece(text: &str, at: usize) -> Option<(usize, &str)> {
    let rest = text[at..].trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let index = text.len() - rest.len();
    let first = rest.chars().next()?;
    let up_to = |end: &str, from: usize| rest[from..].find(end).map(|found| from + found + end.len());
    let while_all = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c >= '\u{80}';
    let length = match first {
        '-' if rest.starts_with("--") => Some(rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => up_to("*/", 2),
        '\'' => up_to("'", 1),
        '"' => up_to("\"", 1),
        '`' => up_to("`", 1),
        '[' => up_to("]", 1),
        '0'..='9' | '.' => Some(while_all(|c| c.is_ascii_digit() || c == '.')),
        '_' | 'A'..='Z' | 'a'..='z' | '\u{80}'.. => Some(while_all(is_word)),
        _ => None,
    };
    Some((index, &rest[..length.unwrap_or(first.len_utf8())]))
}

/// Returns why a piece that is only an opening mark is a flaw, and what to do.
fn unclosed(piece: &str, rest: &str) -> Option<(&'static str, &'static str)> {
    const QUOTES: [(&str, &str, &str); 4] = [
        ("'", "what ' opens is never closed", "Close it with '; within a text or a name a quote is doubled"),
        ("\"", "what \" opens is never closed", "Close it with \"; within a text or a name a quote is doubled"),
        ("`", "what ` opens is never closed", "Close it with `; within a text or a name a quote is doubled"),
        ("[", "what [ opens is never closed", "Close it with ]; within a text or a name a quote is doubled"),
    ];
    if piece == "/" && rest.starts_with("/*") {
        return Some(("what /* opens is never closed", "Close the comment with */"));
    }
    QUOTES.iter().find(|(open, ..)| *open == piece).map(|(_, why, hint)| (*why, *hint))
}

fn endless(index: usize) -> ScriptFlaw {
    let hint = "End the trigger's last statement with a semicolon, then END;";
    ScriptFlaw { index, why: "a trigger has no end", hint }
}

fn swallowed(index: usize) -> ScriptFlaw {
    let why = "a comment continues after a carriage return, over what seems to be the next line";
    ScriptFlaw { index, why, hint: "Only \\n ends a comment: save the file with line ends \\n or \\r\\n" }
}

fn damaged(index: usize) -> ScriptFlaw {
    let hint = "Save it as UTF-8; if the character itself is meant, write char(65533) in SQL";
    ScriptFlaw { index, why: "there is U+FFFD, which replaces a character that was lost", hint }
}
