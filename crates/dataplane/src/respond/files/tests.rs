use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::locate::{Kind, Root};

/// A directory that ends with the test: `root` with files, and a secret beside it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gatewright-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let root = path.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(path.join("secret"), "secret").unwrap();
        fs::write(root.join("a/b/file"), "inside").unwrap();
        symlink("b/file", root.join("a/inside")).unwrap();
        symlink("a", root.join("directory")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink(path.join("secret"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        Self(path)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const OUTSIDE: [&str; 9] = [
    "../secret",
    "a/../../secret",
    "out",
    "up/secret",
    "absolute",
    "loop",
    "/etc/passwd",
    "..",
    "a/b/../../../secret",
];

fn kind(root: &Root, name: &str) -> Option<Kind> {
    root.kind(name.as_bytes()).ok()
}

fn both(path: &Path) -> [Root; 2] {
    [Root::open(path).unwrap(), Root::walking(path).unwrap()]
}

#[test]
fn nothing_outside_of_the_root_is_opened_by_either_way_of_resolving() {
    let place = Place::new("outside");
    for root in both(&place.root()) {
        for name in OUTSIDE {
            assert!(root.file(name.as_bytes()).is_err(), "{name}");
        }
        assert_eq!(kind(&root, "a/b/file"), Some(Kind::File));
        assert_eq!(kind(&root, "a"), Some(Kind::Directory));
        assert_eq!(kind(&root, ""), Some(Kind::Directory));
    }
}

#[test]
fn links_beneath_the_root_are_followed_by_the_kernel_and_refused_without_it() {
    let place = Place::new("links");
    let [kernel, walking] = both(&place.root());
    for name in ["a/inside", "directory/b/file"] {
        assert_eq!(kind(&kernel, name), Some(Kind::File), "{name}");
        assert!(walking.file(name.as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_opened_for_reading() {
    let place = Place::new("kinds");
    let fifo = place.root().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    for root in both(&place.root()) {
        assert_eq!(kind(&root, "fifo"), Some(Kind::Other));
        assert!(root.file(b"fifo").is_err());
        assert!(root.file(b"a").is_err());
    }
}
