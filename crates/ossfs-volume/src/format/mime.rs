//! Content types by extension.

use http::HeaderValue;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The type of what has no known extension.
const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Common extensions, in the format of `/etc/mime.types` and with the types that it has.
const BUILT_IN: &str = "
application/atom+xml atom
application/dash+xml mpd
application/epub+zip epub
application/geo+json geojson
application/gzip gz
application/java-archive jar
application/java-vm class
application/json json
application/manifest+json webmanifest
application/msword doc dot
application/octet-stream bin
application/pdf pdf
application/pgp-signature sig
application/pkcs12 p12 pfx
application/postscript ps ai eps
application/rtf rtf
application/sql sql
application/toml toml
application/vnd.android.package-archive apk
application/vnd.apache.parquet parquet
application/vnd.apple.mpegurl m3u8
application/vnd.debian.binary-package deb
application/vnd.ms-excel xls xlt
application/vnd.ms-fontobject eot
application/vnd.ms-powerpoint ppt pps
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.rar rar
application/vnd.sqlite3 sqlite sqlite3
application/wasm wasm
application/x-7z-compressed 7z
application/x-apple-diskimage dmg
application/x-bittorrent torrent
application/x-bzip2 bz2
application/x-gtar-compressed tgz taz
application/x-iso9660-image iso
application/x-msdos-program com exe bat dll
application/x-msi msi
application/x-redhat-package-manager rpm
application/x-ruby rb
application/x-sh sh
application/x-tar tar
application/x-x509-ca-cert crt
application/x-xz xz
application/xhtml+xml xhtml xht
application/xml xml xsd
application/xml-dtd dtd
application/xslt+xml xsl xslt
application/yaml yaml yml
application/zip zip
application/zstd zst
audio/aac aac adts
audio/flac flac
audio/midi mid midi kar
audio/mp4 m4a
audio/mpeg mpga mp2 mp3
audio/ogg oga ogg opus spx
audio/x-aiff aif aiff aifc
audio/x-mpegurl m3u
audio/x-ms-wma wma
audio/x-wav wav
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
image/avif avif
image/bmp bmp
image/gif gif
image/heic heic
image/jpeg jpeg jpg jpe jfif
image/png png
image/svg+xml svg svgz
image/tiff tif tiff
image/vnd.adobe.photoshop psd
image/vnd.microsoft.icon ico
image/webp webp
message/rfc822 eml
model/gltf-binary glb
model/gltf+json gltf
model/obj obj
model/stl stl
text/calendar ics icz
text/css css
text/csv csv
text/html html htm shtml
text/javascript js mjs es
text/markdown md markdown
text/plain txt text
text/tab-separated-values tsv
text/vcard vcf vcard
text/x-c++hdr h++ hpp hxx hh
text/x-c++src c++ cpp cxx cc
text/x-chdr h
text/x-csrc c
text/x-diff diff patch
text/x-java java
text/x-perl pl pm
text/x-python py
text/x-tex tex ltx sty cls
video/3gpp 3gp
video/mp4 mp4 m4v
video/mpeg mpeg mpg mpe
video/ogg ogv
video/quicktime qt mov
video/webm webm
video/x-flv flv
video/x-matroska mkv mpv
video/x-ms-wmv wmv
video/x-msvideo avi
";

type Types = HashMap<Box<str>, HeaderValue>;

/// Content types by extension. Cheap to clone.
#[derive(Clone)]
pub struct MimeTypes(Arc<Types>);

impl Default for MimeTypes {
    /// The common extensions.
    fn default() -> Self {
        static COMMON: LazyLock<MimeTypes> = LazyLock::new(|| {
            let mut types = Types::new();
            add(&mut types, BUILT_IN);
            MimeTypes(Arc::new(types))
        });
        COMMON.clone()
    }
}

impl MimeTypes {
    /// The common extensions, and those of a text like `/etc/mime.types`: lines of a type and its extensions, comments
    /// behind `#`. The later line wins. A line that makes no sense is passed over.
    pub fn parse(text: &str) -> Self {
        let mut types = Types::clone(&Self::default().0);
        add(&mut types, text);
        Self(Arc::new(types))
    }

    /// The type of a file of this name: that of its last extension, else of the one before, so that `a.tar.unknown` has
    /// the type of `a.tar`; else `application/octet-stream`. Upper or lower case does not matter.
    pub fn content_type(&self, name: &str) -> HeaderValue {
        let name = name.rsplit_once('/').map_or(name, |(_, last)| last);
        let mut pieces = name.rsplit('.');
        let last_two = [pieces.next(), pieces.next()];
        // What stands before the first point is no extension.
        let extensions = last_two.into_iter().flatten().take(name.matches('.').count());
        extensions
            .filter_map(|extension| self.0.get(&*extension.to_ascii_lowercase()))
            .next()
            .cloned()
            .unwrap_or(UNKNOWN)
    }
}

/// Adds the lines of a text like `/etc/mime.types`.
fn add(types: &mut Types, text: &str) {
    for line in text.lines() {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        let mut words = line.split_ascii_whitespace();
        let content_type = words.next().filter(|word| word.contains('/')).map(HeaderValue::from_str);
        let Some(Ok(content_type)) = content_type else { continue };
        for extension in words {
            types.insert(extension.to_ascii_lowercase().into(), content_type.clone());
        }
    }
}

impl fmt::Debug for MimeTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MimeTypes({} extensions)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn check(types: &MimeTypes, rows: &[(&str, &str)]) {
        for (name, expected) in rows {
            assert_eq!(types.content_type(name), *expected, "{name}");
        }
    }

    #[test]
    fn common_extensions() {
        let rows = [
            ("a.txt", "text/plain"),
            ("a.TXT", "text/plain"),
            (".html", "text/html"),
            ("目录.jpg", "image/jpeg"),
            ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ];
        check(&MimeTypes::default(), &rows);
    }

    #[test]
    fn an_unknown_extension_gives_way_to_the_one_before() {
        let rows = [
            ("a.tar.gz", "application/gzip"),
            ("a.tar.unknown", "application/x-tar"),
            ("a.tar.", "application/x-tar"),
            ("a.txt.unknown.unknown", "application/octet-stream"),
            ("txt.unknown", "application/octet-stream"),
            ("d.txt/a.unknown", "application/octet-stream"),
        ];
        check(&MimeTypes::default(), &rows);
    }

    #[test]
    fn no_known_extension() {
        let unknown = "application/octet-stream";
        check(
            &MimeTypes::default(),
            &[("", unknown), ("a", unknown), ("txt", unknown), ("a.", unknown), ("...", unknown)],
        );
    }

    #[test]
    fn a_file_adds_to_the_common_ones() {
        let text =
            "# comment\n\ntext/x-own\tOWN own2 # txt\ntext/new txt\nno-type css\ntext/bad\u{e9}\u{7f} gif\ntext/none";
        let rows = [
            ("a.own", "text/x-own"),
            ("a.Own2", "text/x-own"),
            ("a.txt", "text/new"),
            ("a.css", "text/css"),
            ("a.gif", "image/gif"),
            ("a.png", "image/png"),
        ];
        check(&MimeTypes::parse(text), &rows);
        check(&MimeTypes::default(), &[("a.txt", "text/plain")]);
    }

    #[test]
    fn the_built_in_table_has_every_extension_once() {
        let mut seen = HashSet::new();
        for line in BUILT_IN.lines().skip(1) {
            let mut words = line.split(' ');
            assert!(words.next().unwrap().contains('/'), "{line}");
            assert!(words.all(|extension| seen.insert(extension)), "{line}");
        }
        assert_eq!(seen.len(), MimeTypes::default().0.len());
    }
}
