//! A scripted origin, a fake clock and the scenario runner, for tests only.
#![forbid(unsafe_code)]
