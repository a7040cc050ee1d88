//! A small PDF writer: pages of text in the two faces that every reader has (Helvetica and its bold), rules and filled boxes. What is
//! drawn is the same bytes every time. Written here because a bill needs nothing more, and a typesetter would bring seventy crates and its
//! fonts; letters outside of Western European ones are shown as `?`.

use std::fmt::Write as _;

/// A4 in points.
pub const WIDTH: f32 = 595.0;
pub const HEIGHT: f32 = 842.0;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Plain,
    Bold,
}

/// Red, green, blue from 0 to 1.
pub type Colour = (f32, f32, f32);

/// A document being drawn. `y` counts from the top of the page.
pub struct Pdf {
    title: String,
    pages: Vec<Vec<u8>>,
}

impl Pdf {
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), pages: vec![Vec::new()] }
    }

    pub fn next_page(&mut self) {
        self.pages.push(Vec::new());
    }

    pub fn page(&self) -> usize {
        self.pages.len()
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.pages.last_mut().expect("there is always a page")
    }

    /// Text whose left end is at `x`.
    pub fn text(&mut self, (x, y): (f32, f32), face: Face, size: f32, colour: Colour, text: &str) {
        let name = if face == Face::Bold { "F2" } else { "F1" };
        let (r, g, b) = colour;
        let mut head = String::new();
        let y = HEIGHT - y;
        write!(head, "{r:.3} {g:.3} {b:.3} rg BT /{name} {size:.1} Tf {x:.2} {y:.2} Td (")
            .expect("memory takes everything");
        let out = self.out();
        out.extend_from_slice(head.as_bytes());
        for byte in encode(text) {
            if matches!(byte, b'(' | b')' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.extend_from_slice(b") Tj ET\n");
    }

    /// Text whose right end is at `x`.
    pub fn text_right(&mut self, (x, y): (f32, f32), face: Face, size: f32, colour: Colour, text: &str) {
        self.text((x - width(text, face, size), y), face, size, colour, text);
    }

    /// A filled box; a thin one is a rule.
    pub fn fill(&mut self, (x, y): (f32, f32), (w, h): (f32, f32), (r, g, b): Colour) {
        let bottom = HEIGHT - y - h;
        let text = format!("{r:.3} {g:.3} {b:.3} rg {x:.2} {bottom:.2} {w:.2} {h:.2} re f\n");
        self.out().extend_from_slice(text.as_bytes());
    }

    /// The whole file.
    pub fn finish(self) -> Vec<u8> {
        let mut file = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
        let mut offsets = Vec::new();
        let count = self.pages.len();
        // 1 catalogue, 2 pages, 3 and 4 faces, 5 information, then a page and its content each.
        let kids: Vec<String> = (0..count).map(|at| format!("{} 0 R", 6 + at * 2)).collect();
        let face = |name: &str| {
            format!("<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>").into_bytes()
        };
        let mut information = b"<< /Title (".to_vec();
        information.extend(encode(&self.title).filter(|byte| !matches!(byte, b'(' | b')' | b'\\')));
        information.extend_from_slice(b") /Producer (Loopd) >>");
        let mut objects = vec![
            b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
            format!("<< /Type /Pages /Kids [{}] /Count {count} >>", kids.join(" ")).into_bytes(),
            face("Helvetica"),
            face("Helvetica-Bold"),
            information,
        ];
        for (at, content) in self.pages.into_iter().enumerate() {
            objects.push(
                format!(
                    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> \
                     /Contents {} 0 R >>",
                    7 + at * 2
                )
                .into_bytes(),
            );
            let mut stream = format!("<< /Length {} >>\nstream\n", content.len()).into_bytes();
            stream.extend(content);
            stream.extend_from_slice(b"\nendstream");
            objects.push(stream);
        }
        for (at, object) in objects.iter().enumerate() {
            offsets.push(file.len());
            file.extend_from_slice(format!("{} 0 obj\n", at + 1).as_bytes());
            file.extend_from_slice(object);
            file.extend_from_slice(b"\nendobj\n");
        }
        let start = file.len();
        let mut tail = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
        for offset in offsets {
            writeln!(tail, "{offset:010} 00000 n ").expect("memory takes everything");
        }
        write!(tail, "trailer\n<< /Size {} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1)
            .expect("memory takes everything");
        file.extend_from_slice(tail.as_bytes());
        file
    }
}

/// Text in Windows-1252, as the faces are encoded.
fn encode(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.chars().map(|letter| match letter {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(letter)).unwrap_or(b'?'),
        '€' => 0x80,
        '…' => 0x85,
        'Š' => 0x8a,
        'Œ' => 0x8c,
        'Ž' => 0x8e,
        '‘' => 0x91,
        '’' => 0x92,
        '“' => 0x93,
        '”' => 0x94,
        '•' => 0x95,
        '–' => 0x96,
        '—' => 0x97,
        'š' => 0x9a,
        'œ' => 0x9c,
        'ž' => 0x9e,
        'Ÿ' => 0x9f,
        _ => b'?',
    })
}

/// Widths of the letters from space to tilde in thousandths of the size, as Adobe's metrics give them.
const PLAIN: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
];
const BOLD: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
];

/// How wide a text is, in points.
pub fn width(text: &str, face: Face, size: f32) -> f32 {
    let table = if face == Face::Bold { &BOLD } else { &PLAIN };
    // A blank that does not break is a blank; what is not in the table is as wide as most small letters.
    let of = |byte: u8| {
        let byte = if byte == 0xa0 { b' ' } else { byte };
        usize::from(byte).checked_sub(32).and_then(|at| table.get(at)).copied().unwrap_or(556)
    };
    let thousandths: u32 = encode(text).map(|byte| u32::from(of(byte))).sum();
    thousandths as f32 * size / 1000.0
}

/// Cuts a text into lines that fit; a word that is wider than a line is cut.
pub fn wrap(text: &str, face: Face, size: f32, room: f32) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
        if width(&longer, face, size) <= room {
            *line = longer;
            continue;
        }
        let mut piece = String::new();
        for letter in word.chars() {
            piece.push(letter);
            if width(&piece, face, size) > room {
                let last = piece.pop();
                lines.push(std::mem::take(&mut piece));
                piece.extend(last);
            }
        }
        lines.push(piece);
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_contents_leads_to_every_object() {
        let mut pdf = Pdf::new("A (title)");
        pdf.text((50.0, 50.0), Face::Bold, 12.0, (0.0, 0.0, 0.0), "Café (1) \\ 日");
        pdf.next_page();
        pdf.fill((1.0, 1.0), (10.0, 1.0), (1.0, 0.0, 0.0));
        let file = pdf.finish();
        // one byte a character, so that places in the text are places in the file
        let text: Vec<char> = file.iter().map(|byte| char::from(*byte)).collect();
        let from = |at: usize| text[at..].iter().collect::<String>();
        let table = file.windows(6).position(|bytes| bytes == b"\nxref\n").unwrap() + 1;
        assert!(from(0).ends_with(&format!("startxref\n{table}\n%%EOF\n")));
        let offsets: Vec<usize> = from(table).lines().skip(3).take(9).map(|line| line[..10].parse().unwrap()).collect();
        for (at, offset) in offsets.iter().enumerate() {
            assert!(from(*offset).starts_with(&format!("{} 0 obj\n", at + 1)), "object {}", at + 1);
        }
        let text = from(0);
        assert!(text.contains("(Caf\u{e9} \\(1\\) \\\\ ?) Tj"));
    }

    #[test]
    fn lines_fit_and_lose_nothing() {
        let text = "A description that is longer than its column and has averyveryverylongwordinthemiddle of it";
        let lines = wrap(text, Face::Plain, 9.0, 100.0);
        assert!(lines.iter().all(|line| width(line, Face::Plain, 9.0) <= 100.0));
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
    }
}
