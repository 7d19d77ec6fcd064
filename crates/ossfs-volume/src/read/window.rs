//! What to fetch ahead of a reader: a pure decision from the ranges it asked for.
//!
//! A stream has a few runs, each a place where it reads on. A run begins with a read that no run explains; once more reads
//! extend it, it is sequential and has a window: the bytes to have ready past the highest byte that was read. The window
//! grows with what the run consumed, so a reader that stops wastes at most about what it has read.
//!
//! Invariants: nothing past the size is planned; within a run the ranges planned ahead never overlap; what is planned ahead
//! of a run lies within its window; a run that is not sequential plans nothing.
//!
//! Knows neither what is cached nor who fetches.

use ossfs_types::ByteRange;

/// Reads are rounded to pages of this many bytes. A random reader pays at most this much for 4 KiB, and four neighbouring
/// 4 KiB reads need one GET; more would waste what a 10 ms GET brings, less would multiply the GETs.
pub(super) const PAGE_BYTES: u64 = 16 << 10;
/// The window at first, in bytes: the kernel's readahead, so that its next read is under way.
pub(super) const WINDOW_BYTES_MIN: u64 = 128 << 10;
/// Most bytes of one GET. At 20 MB/s per connection and 10 ms until the first byte, waiting is 5 % of it.
pub(super) const FETCH_BYTES_MAX: u64 = 4 << 20;
/// GETs under way ahead of one reader. At 20 MB/s per connection 16 of them are 320 MB/s.
pub(super) const FETCHES_AHEAD_MAX: u64 = 16;
/// GETs under way while the window grows: enough to hide the latency, and fewer requests for files of some MiB.
const FETCHES_GROWING: u64 = 8;
/// The largest window, in bytes.
pub(super) const WINDOW_BYTES_MAX: u64 = FETCHES_AHEAD_MAX * FETCH_BYTES_MAX;
/// A read that begins this many bytes before the furthest one still belongs to its run: it is likely cached.
const BEHIND_BYTES: u64 = 8 << 20;
/// Longest read of the kernel, in bytes. Longer ones from elsewhere count as this where neighbours are looked for.
const READ_BYTES_MAX: u64 = 1 << 20;
/// Reads that the kernel has in flight at once for one file and may deliver in any order; so many read lengths may be
/// missing between two reads of one run.
const READS_IN_FLIGHT: u64 = 4;
/// A run that spans more than this many times the bytes that it consumed has no window: a reader of every tenth page is a
/// random one. More than [`READS_IN_FLIGHT`], which may come last first.
const SPARSE: u64 = 8;
/// Runs of one stream. More than one, because formats with an index are read at two or three places in turn.
const RUNS_MAX: usize = 4;

const _: () = assert!(WINDOW_BYTES_MIN.is_power_of_two() && FETCH_BYTES_MAX.is_power_of_two());
const _: () =
    assert!(PAGE_BYTES.is_power_of_two() && PAGE_BYTES <= WINDOW_BYTES_MIN && WINDOW_BYTES_MIN <= FETCH_BYTES_MAX);
const _: () = assert!(SPARSE > READS_IN_FLIGHT && FETCHES_GROWING <= FETCHES_AHEAD_MAX);

/// What bounds a plan, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Length of the object.
    pub size: u64,
    /// Most bytes of one fetch: a power of two, at least [`PAGE_BYTES`].
    pub fetch_bytes_max: u64,
    /// Most bytes ahead of the reader.
    pub ahead_bytes_max: u64,
}

/// What a read leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether the read belongs to a sequential run.
    pub sequential: bool,
    /// What to fetch ahead, in order.
    pub ahead: Vec<ByteRange>,
    /// What was planned ahead of a run that is given up, and is not wanted any more.
    pub abandoned: Option<ByteRange>,
}

/// `start..end`, for callers that know the order.
pub(super) fn span(start: u64, end: u64) -> ByteRange {
    ByteRange::new(start, end.max(start)).expect("start <= end by the max above")
}

/// The pages that hold a range, cut at the object's end.
pub(super) fn pages(range: ByteRange, size: u64) -> ByteRange {
    let end = range.end().checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
    span(range.start() / PAGE_BYTES * PAGE_BYTES, end.min(size))
}

/// The largest power of two that is not above `value`, which is not 0.
pub(super) fn power_of_two_below(value: u64) -> u64 {
    1 << value.max(1).ilog2()
}

/// The runs of one stream, the one last used at the end.
#[derive(Debug, Default)]
pub(super) struct Window {
    runs: Vec<Run>,
}

impl Window {
    /// Takes note of a read of `range`, not empty and within the size. `here`: all of it is cached.
    pub(super) fn read(&mut self, range: ByteRange, here: bool, limits: Limits) -> Plan {
        let mut plan = Plan::default();
        match self.runs.iter().position(|run| run.explains(range)) {
            Some(at) => {
                self.runs[at..].rotate_left(1);
                if let Some(run) = self.runs.last_mut() {
                    run.take(range, limits, &mut plan.ahead);
                }
            }
            // A hit costs nothing, so it says nothing about what the reader will need.
            None if here && !self.runs.is_empty() => return plan,
            None => {
                if self.runs.len() == RUNS_MAX {
                    plan.abandoned = Some(self.runs.remove(0).ahead()).filter(|range| !range.is_empty());
                }
                self.runs.push(Run::begin(range, limits.size));
            }
        }
        if let Some(run) = self.runs.last_mut() {
            plan.sequential = run.is_sequential();
            run.extend(limits, &mut plan.ahead);
        }
        plan
    }

    /// What the last plan has from `at` on ahead is not being fetched: the next read plans it again.
    pub(super) fn gave_up(&mut self, at: u64, size: u64) {
        if let Some(run) = self.runs.last_mut() {
            run.frontier = run.frontier.min(at.max(pages(span(run.tail, run.tail), size).end()));
        }
    }

    /// What is planned ahead of all runs.
    pub(super) fn ahead(&self) -> impl Iterator<Item = ByteRange> {
        self.runs.iter().map(Run::ahead).filter(|range| !range.is_empty())
    }

    /// Whether more of an object of `size` bytes is going to be planned ahead.
    pub(super) fn reads_on(&self, size: u64) -> bool {
        self.runs.iter().any(|run| run.is_sequential() && run.tail < size)
    }
}

/// One place where a stream reads on.
#[derive(Debug)]
struct Run {
    /// The lowest byte that was read.
    low: u64,
    /// Just past the highest byte that was read.
    tail: u64,
    /// Just past the highest byte that was planned; at least `tail`.
    frontier: u64,
    /// Length of the last read.
    last_len: u64,
    /// Bytes that were read, at most those from `low` to `tail`.
    consumed: u64,
    /// Bytes to plan past `tail`; 0 while the run is not sequential.
    window: u64,
    /// The `consumed` at which the window doubles: a reader keeps up if it reads what was fetched for it.
    grow_at: u64,
}

impl Run {
    fn begin(range: ByteRange, size: u64) -> Self {
        let mut run = Self {
            low: range.start(),
            tail: range.end(),
            frontier: pages(range, size).end(),
            last_len: range.len(),
            consumed: range.len(),
            window: 0,
            grow_at: 0,
        };
        // Who begins at the start with more than a glance is about to read all; a single page could be a look at a header.
        if range.start() == 0 && range.len() >= PAGE_BYTES {
            run.open_window();
        }
        run
    }

    fn open_window(&mut self) {
        self.window = WINDOW_BYTES_MIN;
        self.grow_at = self.consumed + WINDOW_BYTES_MIN;
    }

    fn is_sequential(&self) -> bool {
        self.window > 0
    }

    /// What is planned ahead and not read.
    fn ahead(&self) -> ByteRange {
        span(self.tail, if self.is_sequential() { self.frontier } else { self.tail })
    }

    fn explains(&self, range: ByteRange) -> bool {
        let tolerance = READS_IN_FLIGHT * range.len().max(self.last_len).min(READ_BYTES_MAX);
        let low = self.low.max(self.tail.saturating_sub(BEHIND_BYTES));
        range.start() <= self.frontier.saturating_add(tolerance) && range.end().saturating_add(tolerance) >= low
    }

    fn take(&mut self, range: ByteRange, limits: Limits, ahead: &mut Vec<ByteRange>) {
        let above = range.end().saturating_sub(range.start().max(self.tail));
        let below = range.end().min(self.low).saturating_sub(range.start());
        self.tail = self.tail.max(range.end());
        self.low = self.low.min(range.start());
        // A read in between fills what an earlier one skipped, or repeats one; that can't be told apart.
        self.consumed = (self.consumed + range.len()).min(self.tail - self.low);
        self.last_len = range.len();
        let demand = pages(range, limits.size);
        // The reads in between are under way: they only came later.
        while self.is_sequential() && self.frontier < demand.start() {
            let end = demand.start().min(self.frontier + limits.fetch_bytes_max);
            ahead.push(span(self.frontier, end));
            self.frontier = end;
        }
        self.resize(above + below > 0);
        self.frontier = self.frontier.max(demand.end());
    }

    fn resize(&mut self, extended: bool) {
        if self.tail - self.low > SPARSE * self.consumed {
            self.window = 0;
        } else if self.window == 0 && extended {
            self.open_window();
        }
        while self.window > 0 && self.consumed >= self.grow_at && self.window < WINDOW_BYTES_MAX {
            self.window *= 2;
            self.grow_at += self.window;
        }
    }

    /// Plans whole fetches as far as the window reaches.
    fn extend(&mut self, limits: Limits, ahead: &mut Vec<ByteRange>) {
        let window = self.window.min(limits.ahead_bytes_max);
        if window < PAGE_BYTES {
            return;
        }
        // Many small fetches at first, as one of the whole window would make the reader wait for its last byte.
        let unit = power_of_two_below(window / FETCHES_GROWING)
            .max(WINDOW_BYTES_MIN)
            .min(power_of_two_below(window))
            .min(limits.fetch_bytes_max);
        let goal = self.tail.saturating_add(window).min(limits.size);
        while self.frontier < goal {
            // Multiples of the unit, so that later reads seldom lie across two chunks.
            let end = (self.frontier / unit + 1).saturating_mul(unit).min(limits.size);
            if end > goal {
                break;
            }
            ahead.push(span(self.frontier, end));
            self.frontier = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    fn limits(size: u64) -> Limits {
        Limits { size, fetch_bytes_max: FETCH_BYTES_MAX, ahead_bytes_max: WINDOW_BYTES_MAX }
    }

    fn at(start: u64, len: u64) -> ByteRange {
        ByteRange::at(start, len).unwrap()
    }

    #[test]
    fn the_window_follows_what_was_consumed() {
        let (mut window, limits) = (Window::default(), limits(1 << 30));
        assert_eq!(window.read(at(0, 128 * KIB), false, limits).ahead, [at(128 * KIB, 128 * KIB)]);
        let mut frontier = 256 * KIB;
        for step in 1..2048 {
            let tail = (step + 1) * 128 * KIB;
            let plan = window.read(at(step * 128 * KIB, 128 * KIB), true, limits);
            assert!(plan.sequential);
            for range in &plan.ahead {
                assert_eq!(range.start(), frontier);
                frontier = range.end();
            }
            assert!(frontier - tail <= tail.next_power_of_two().min(WINDOW_BYTES_MAX), "at {tail}: {frontier}");
        }
        assert!(window.ahead().all(|range| range.len() > WINDOW_BYTES_MAX - FETCH_BYTES_MAX));
    }

    #[test]
    fn a_first_glance_plans_nothing_and_a_seek_neither() {
        let (mut window, limits) = (Window::default(), limits(1 << 30));
        for start in [0, 100 * MIB, 7 * MIB, 300 * MIB, 500 * MIB, 50 * MIB] {
            assert_eq!(window.read(at(start, 4 * KIB), false, limits), Plan::default(), "{start}");
        }
    }

    #[test]
    fn reads_in_any_order_are_one_run() {
        for order in [[2, 0, 1], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
            let (mut window, limits) = (Window::default(), limits(1 << 30));
            let plans = order.map(|step| window.read(at(step * MIB, MIB), false, limits));
            assert!(plans[2].sequential && window.ahead().count() == 1, "{order:?}");
        }
    }

    #[test]
    fn small_seeks_keep_the_window_and_far_ones_start_another() {
        let (mut window, limits) = (Window::default(), limits(1 << 30));
        (0..256).for_each(|step| drop(window.read(at(step * 128 * KIB, 128 * KIB), true, limits)));
        let before = window.ahead().next().unwrap();
        for start in [31 * MIB, 28 * MIB, 33 * MIB] {
            assert!(window.read(at(start, 4 * KIB), true, limits).sequential);
        }
        assert!(window.ahead().next().unwrap().end() >= before.end());
        // Hits elsewhere change nothing; misses elsewhere are other runs, and the first is still there.
        window.read(at(500 * MIB, 4 * KIB), true, limits);
        window.read(at(700 * MIB, 4 * KIB), false, limits);
        assert!(window.read(at(33 * MIB + 4 * KIB, 128 * KIB), true, limits).sequential);
    }

    #[test]
    fn a_run_that_is_pushed_out_says_what_it_had_ahead() {
        let (mut window, limits) = (Window::default(), limits(1 << 30));
        window.read(at(0, 128 * KIB), false, limits);
        let abandoned: Vec<_> =
            (1..=4).filter_map(|step| window.read(at(step * 100 * MIB, 4 * KIB), false, limits).abandoned).collect();
        assert_eq!(abandoned, [at(128 * KIB, 128 * KIB)]);
    }

    #[test]
    fn what_was_given_up_is_planned_again() {
        let (mut window, limits) = (Window::default(), limits(1 << 30));
        let plan = window.read(at(0, 128 * KIB), false, limits);
        window.gave_up(plan.ahead[0].start(), limits.size);
        assert_eq!(window.read(at(4 * KIB, 4 * KIB), true, limits).ahead, plan.ahead);
    }

    proptest! {
        /// In-order readers of any read length: demand past the frontier and plans ahead tile the object.
        #[test]
        fn a_sequential_reader_gets_each_byte_once(
            size in 1..100 * MIB,
            step in 1..2 * MIB,
            fetch_shift in 14_u32..23,
            ahead in 0..WINDOW_BYTES_MAX,
        ) {
            let limits = Limits { size, fetch_bytes_max: 1 << fetch_shift, ahead_bytes_max: ahead };
            let step = step.max(size / 2000);
            let mut window = Window::default();
            let (mut position, mut planned) = (0, 0);
            while position < size {
                let range = span(position, (position + step).min(size));
                planned = planned.max(pages(range, size).end());
                for range in window.read(range, false, limits).ahead {
                    prop_assert_eq!(range.start(), planned);
                    prop_assert!(!range.is_empty() && range.len() <= limits.fetch_bytes_max);
                    planned = range.end();
                }
                position = range.end();
                prop_assert!(planned <= size);
                prop_assert!(planned <= pages(range, size).end().max(position + ahead));
            }
            prop_assert_eq!(planned, size);
        }

        /// Whatever is read: nothing past the size, no range twice unless it was abandoned, and waste in proportion.
        #[test]
        fn any_reader_wastes_little(reads in prop::collection::vec((0..256 * MIB, 1..256 * KIB), 1..60)) {
            let limits = limits(256 * MIB);
            let mut window = Window::default();
            let (mut consumed, mut ahead, mut runs) = (0, 0, 0);
            for (start, len) in reads {
                let range = span(start, (start + len).min(limits.size));
                consumed += range.len();
                for range in window.read(range, false, limits).ahead {
                    prop_assert!(range.end() <= limits.size && !range.is_empty());
                    ahead += range.len();
                }
                runs += 1;
                // A run spans little more than SPARSE times what it consumed, and a window is at most twice that.
                let most = consumed * (SPARSE + READS_IN_FLIGHT + 2) + runs * WINDOW_BYTES_MIN;
                prop_assert!(ahead <= most, "{} of {}", ahead, consumed);
            }
        }

        /// Nor does one that skips most of what it passes.
        #[test]
        fn a_striding_reader_soon_costs_its_pages_alone(stride in 20..100_u64) {
            let limits = limits(4096 * MIB);
            let mut window = Window::default();
            let planned = (0..200).map(|step| {
                let plan = window.read(at(step * stride * 4 * KIB, 4 * KIB), false, limits);
                plan.ahead.iter().map(|range| range.len()).sum::<u64>()
            });
            prop_assert!(planned.sum::<u64>() <= WINDOW_BYTES_MIN * 2);
        }

        /// Far apart, small: a random reader costs its own pages alone.
        #[test]
        fn a_random_reader_wastes_nothing(places in prop::collection::hash_set(0..4096_u64, 1..100)) {
            let limits = limits(4096 * MIB);
            let mut window = Window::default();
            for place in places {
                prop_assert_eq!(window.read(at(place * MIB + 4 * KIB, 4 * KIB), false, limits), Plan::default());
            }
        }
    }
}
