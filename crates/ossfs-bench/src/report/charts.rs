//! Bars: for each figure a group, for each contestant a bar, longer where it is faster.

use std::fmt::Write;

use super::figures::Figures;
use crate::contestants::Contestant;
use crate::measure::Measured;

const WIDTH: u32 = 760;
const BAR: u32 = 16;
const GAP: u32 = 4;
/// Where bars begin, and the longest of them.
const LEFT: u32 = 130;
const LONGEST: f64 = 440.0;

/// A chart of a family as SVG, readable on light and dark pages.
pub(super) fn chart(title: &str, rows: &[&Measured]) -> String {
    let mut body = String::new();
    let mut y = 44;
    for measured in rows {
        for (at, step) in measured.row.steps.iter().enumerate() {
            let Some(figure) = step.figure else { continue };
            let bars: Vec<(&Contestant, Figures)> = measured
                .standings
                .iter()
                .filter_map(|standing| Some((&standing.contestant, Figures::of(standing, at, step)?)))
                .collect();
            if bars.is_empty() {
                continue;
            }
            let name = format!("{}: {figure}", measured.row.name);
            let _ = writeln!(body, "<text x='12' y='{}' font-weight='bold'>{}</text>", y + 12, escaped(&name));
            y += BAR + GAP;
            group(&mut body, &mut y, &bars);
            y += 2 * GAP;
        }
    }
    let height = y + 8;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' \
         font-family='sans-serif' font-size='12' fill='#222'>\n<rect width='{WIDTH}' height='{height}' fill='#fff'/>\n\
         <text x='12' y='26' font-size='16' font-weight='bold'>{}</text>\n{body}</svg>\n",
        escaped(title)
    )
}

fn group(body: &mut String, y: &mut u32, bars: &[(&Contestant, Figures)]) {
    let most = bars.iter().map(|(_, figures)| figures.speed()).fold(0.0, f64::max);
    for (who, figures) in bars {
        let length = (figures.speed() / most * LONGEST).max(1.0);
        let (text, end) = (*y + 12, f64::from(LEFT) + length + 6.0);
        let _ = writeln!(body, "<text x='{}' y='{text}' text-anchor='end'>{}</text>", LEFT - 6, escaped(who.name()));
        let colour = colour(who);
        let _ = writeln!(body, "<rect x='{LEFT}' y='{y}' width='{length:.1}' height='{BAR}' fill='{colour}'/>");
        let _ = writeln!(body, "<text x='{end:.1}' y='{text}'>{}</text>", escaped(&figures.value()));
        *y += BAR + GAP;
    }
}

fn colour(who: &Contestant) -> &'static str {
    match who {
        Contestant::Ossfs => "#e8590c",
        Contestant::Again => "#ffa94d",
        Contestant::Raw => "#868e96",
        Contestant::Local => "#ced4da",
        Contestant::Peer(_) => "#4dabf7",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
