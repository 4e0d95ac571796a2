//! What this process uses and may use: read from Linux's own files, on the control thread only.
//!
//! Files that are read again and again stay open, so that it works when no descriptor is left.

use std::fs::{File, read_link, read_to_string};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kernel tells times to programs in this unit on every machine that Rust's standard library runs on.
const TICK: Duration = Duration::from_millis(10);
/// Longer than any of the files is.
const PAGE: usize = 8 * 1024;
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Where the calling thread's own numbers stand; for the control thread, which reads them from outside.
pub fn own_thread() -> Option<PathBuf> {
    read_link("/proc/thread-self").ok().map(|path| Path::new("/proc").join(path).join("stat"))
}

/// What the process may use. It is read once: a change of the limits counts from the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Processors, in thousandths: a quota may grant parts of one.
    pub processors: u64,
    pub memory: u64,
}

impl Allowance {
    pub fn read() -> Self {
        let status = read_to_string("/proc/self/status").unwrap_or_default();
        let memory = read_to_string("/proc/meminfo").unwrap_or_default();
        let groups = control_groups(&read_to_string("/proc/self/cgroup").unwrap_or_default());
        let told =
            |name| groups.iter().filter_map(move |group: &PathBuf| read_to_string(group.join(name)).ok());
        let quota = told("cpu.max").filter_map(|text| quota(&text)).min();
        let limit = told("memory.max").filter_map(|text| text.trim().parse().ok()).min();
        let affinity = (listed(field(&status, "Cpus_allowed_list:").unwrap_or("0")) * 1_000).max(1_000);
        let physical = kibibytes(&memory, "MemTotal:").unwrap_or(u64::MAX);
        Self {
            processors: quota.map_or(affinity, |quota: u64| quota.min(affinity)).max(1),
            memory: limit.map_or(physical, |limit: u64| limit.min(physical)).max(1),
        }
    }
}

/// The open files of one process and its workers.
#[derive(Default)]
pub struct Usage {
    process: Option<File>,
    status: Option<File>,
    workers: Vec<File>,
}

impl Usage {
    pub fn open() -> Self {
        let open = |path| File::open(path).ok();
        Self { process: open("/proc/self/stat"), status: open("/proc/self/status"), workers: Vec::new() }
    }

    /// Follows the threads that are not followed yet.
    pub fn follow(&mut self, threads: &[PathBuf]) {
        self.workers.extend(threads.iter().skip(self.workers.len()).filter_map(|path| File::open(path).ok()));
    }

    /// Processor time of all threads of the process.
    pub fn process(&self) -> Option<Duration> {
        processor_time(&read(self.process.as_ref()?)?)
    }

    /// Processor time of the workers alone.
    pub fn workers(&self) -> Duration {
        self.workers.iter().filter_map(|file| processor_time(&read(file)?)).sum()
    }

    pub fn resident(&self) -> Option<u64> {
        kibibytes(&read(self.status.as_ref()?)?, "VmRSS:")
    }
}

fn read(file: &File) -> Option<String> {
    let mut page = [0; PAGE];
    let length = file.read_at(&mut page, 0).ok()?;
    Some(String::from_utf8_lossy(page.get(..length)?).into_owned())
}

/// `utime` and `stime` of a `stat`. The name in front of them may hold spaces and parentheses.
fn processor_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let (user, system) = (ticks()?, ticks()?);
    Some(TICK * user + TICK * system)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let number = field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    number.checked_mul(1_024)
}

/// How many numbers a list such as `0-3,8` holds.
fn listed(text: &str) -> u64 {
    let count = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u64>().ok()?, last.trim().parse::<u64>().ok()?);
        Some(last.saturating_sub(first) + 1)
    };
    text.split(',').filter_map(count).sum()
}

/// `cpu.max` in thousandths of a processor; `None` where it limits nothing.
fn quota(text: &str) -> Option<u64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    (quota * 1_000).checked_div(period)
}

/// The directories of a process's control group and of those around it; each of them limits.
fn control_groups(text: &str) -> Vec<PathBuf> {
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let own = Path::new(CONTROL_GROUPS).join(own.trim());
    let all = own.ancestors().take_while(|path| path.starts_with(CONTROL_GROUPS));
    all.map(Path::to_path_buf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "42 (a ) b) R 1 1 1 0 -1 4194304 90 0 0 0 150 25 0 0 20 0 3 0 5 1 2 3";
        assert_eq!(processor_time(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(processor_time("42 (name) R 1 1"), None);
        assert_eq!(processor_time(""), None);
    }

    #[test]
    fn a_list_of_processors_is_counted() {
        for (text, count) in [("0", 1), ("0-3", 4), ("0-3,8,10-11", 7), ("", 0), ("x", 0)] {
            assert_eq!(listed(text), count, "{text}");
        }
    }

    #[test]
    fn a_quota_may_grant_parts_of_a_processor() {
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!(quota("50000 100000\n"), Some(500));
        assert_eq!(quota("250000 100000\n"), Some(2_500));
        assert_eq!(quota("1 0\n"), None);
    }

    #[test]
    fn every_control_group_around_the_process_limits_it() {
        let groups = control_groups("1:name=systemd:/x\n0::/kube/pod\n");
        let expected =
            ["/sys/fs/cgroup/kube/pod", "/sys/fs/cgroup/kube", "/sys/fs/cgroup"].map(PathBuf::from);
        assert_eq!(groups, expected);
        assert_eq!(control_groups("0::/\n"), [PathBuf::from("/sys/fs/cgroup/")]);
    }

    #[test]
    fn this_process_is_seen_using_what_it_uses() {
        let mut usage = Usage::open();
        let held = std::hint::black_box(vec![1_u8; 8 << 20]);
        assert!(usage.resident().unwrap() > held.len() as u64);
        usage.follow(&[own_thread().unwrap()]);
        while usage.workers() < TICK {
            std::hint::black_box((0..10_000_u64).sum::<u64>());
        }
        assert!(usage.process().unwrap() >= usage.workers());
        let allowance = Allowance::read();
        assert!(allowance.processors >= 1 && allowance.memory > held.len() as u64, "{allowance:?}");
    }
}
