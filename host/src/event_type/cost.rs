//! What a schema costs before it is compiled: how much its references make of it.
//!
//! A reference is cheap to write and is compiled and applied in full wherever it stands, so that thirty lines
//! of references to the next line can be a milliard subschemas. Here a schema is read as a graph of
//! subschemas, in which some are applied to the same value (`allOf`, `$ref`) and some to a part of it
//! (`properties`, `items`). From that follow, in a time that is bounded by the schema's length: how many
//! subschemas it is when each reference is written out, how many follow one another on one value, and
//! whether a schema that contains itself is applied more than once to the same part, which would double with
//! each level of the payload. What cannot be followed here (anchors, dynamic references, identifiers within)
//! is refused.

mod graph;

use self::graph::{Graph, Place};

/// Most subschemas, each reference written out: published webhooks have some hundreds.
pub const SUBSCHEMAS_MAX: u64 = 10_000;
/// Most patterns: each is compiled to a program of its own, and all stay in memory.
pub const PATTERNS_MAX: usize = 64;
/// Most subschemas that follow one another down from the root, each reference once: checking calls itself
/// for each, and a stack is finite.
pub const CHAIN_MAX: usize = 256;
/// Most subschemas that follow one another on the same value in a schema that contains itself: checking
/// goes through all of them at each level of the payload, of which there are up to 127.
pub const ENDLESS_CHAIN_MAX: usize = 12;
/// Most steps of looking for what multiplies itself; about what a schema of the largest size takes that
/// is one honest tree.
const STEPS_MAX: usize = 2_000_000;

/// Why a schema is too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostFault {
    /// Its references make too much of it.
    #[error("has more than {SUBSCHEMAS_MAX} subschemas when its references are written out; refer to less")]
    Subschemas,
    /// Too many patterns.
    #[error("has {0} patterns (`pattern` and `patternProperties`); {PATTERNS_MAX} are allowed")]
    Patterns(usize),
    /// It never comes to an end.
    #[error("refers back to itself for the same value, and so would never come to an end")]
    Circle,
    /// It grows with each level of the payload.
    #[error(
        "contains itself more than once for the same property or item, and so would double with each level of \
         a payload; contain it once, and say beside it what differs"
    )]
    Doubles,
    /// Too deep for a stack.
    #[error(
        "leads from one subschema to the next too often: {CHAIN_MAX} times are allowed, and \
         {ENDLESS_CHAIN_MAX} for the same value where it contains itself"
    )]
    Chain,
    /// A reference that cannot be followed.
    #[error(
        "has the reference `{0}`, which is no place within it; write `#` or a JSON pointer such as \
         `#/$defs/order`"
    )]
    Reference(String),
    /// A keyword that cannot be followed.
    #[error("uses `{0}` within, which is not supported here; refer with `$ref` and a JSON pointer")]
    Keyword(&'static str),
}

/// What a schema costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// How many subschemas it is when each reference is written out.
    pub(super) subschemas: u64,
    /// How many patterns it has.
    pub(super) patterns: usize,
}

/// What a schema costs, or why it is too much.
pub(super) fn of(schema: &serde_json::Value) -> Result<Cost, CostFault> {
    let graph = Graph::of(schema)?;
    if graph.patterns > PATTERNS_MAX {
        return Err(CostFault::Patterns(graph.patterns));
    }
    let order = same_value_order(&graph)?;
    let groups = Groups::of(&graph);
    let size = groups.size(&graph);
    if size > SUBSCHEMAS_MAX {
        return Err(CostFault::Subschemas);
    }
    check_chains(&graph, &order, &groups)?;
    check_growth(&graph, &order, &groups)?;
    Ok(Cost {
        subschemas: size,
        patterns: graph.patterns,
    })
}

/// Every subschema before those that it applies to the same value; there is no such order in a circle.
fn same_value_order(graph: &Graph<'_>) -> Result<Vec<usize>, CostFault> {
    let mut before = vec![0_usize; graph.nodes.len()];
    for edge in graph.nodes.iter().flat_map(|node| node.same()) {
        before[edge.to] += 1;
    }
    let mut order: Vec<usize> = (0..before.len()).filter(|&node| before[node] == 0).collect();
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        for edge in graph.nodes[node].same() {
            before[edge.to] -= 1;
            if before[edge.to] == 0 {
                order.push(edge.to);
            }
        }
    }
    match order.len() == before.len() {
        true => Ok(order),
        false => Err(CostFault::Circle),
    }
}

/// Subschemas that contain one another, as groups. A group stands before those that it leads to.
struct Groups {
    of_node: Vec<usize>,
    members: Vec<Vec<usize>>,
    /// Whether a group leads back to itself, or to one that does.
    endless: Vec<bool>,
    cyclic: Vec<bool>,
}

impl Groups {
    /// Kosaraju's algorithm, without recursion.
    fn of(graph: &Graph<'_>) -> Self {
        let count = graph.nodes.len();
        let mut back: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (from, node) in graph.nodes.iter().enumerate() {
            node.edges.iter().for_each(|edge| back[edge.to].push(from));
        }
        let (mut seen, mut done) = (vec![false; count], Vec::with_capacity(count));
        for start in 0..count {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut path = vec![(start, 0)];
            while let Some((node, next)) = path.last_mut() {
                if let Some(edge) = graph.nodes[*node].edges.get(*next) {
                    *next += 1;
                    if !std::mem::replace(&mut seen[edge.to], true) {
                        path.push((edge.to, 0));
                    }
                } else {
                    done.push(*node);
                    path.pop();
                }
            }
        }
        let (mut of_node, mut members) = (vec![usize::MAX; count], Vec::new());
        for &start in done.iter().rev() {
            if of_node[start] != usize::MAX {
                continue;
            }
            let group = members.len();
            of_node[start] = group;
            let mut found = vec![start];
            let mut next = 0;
            while let Some(&node) = found.get(next) {
                next += 1;
                for &from in &back[node] {
                    if of_node[from] == usize::MAX {
                        of_node[from] = group;
                        found.push(from);
                    }
                }
            }
            members.push(found);
        }
        let mut groups = Self {
            cyclic: vec![false; members.len()],
            endless: vec![false; members.len()],
            of_node,
            members,
        };
        for group in (0..groups.members.len()).rev() {
            let leads_to = groups.leads_to(graph, group);
            groups.cyclic[group] = leads_to.contains(&group);
            groups.endless[group] = leads_to.iter().any(|&to| to == group || groups.endless[to]);
        }
        groups
    }

    fn leads_to(&self, graph: &Graph<'_>, group: usize) -> Vec<usize> {
        let members = self.members[group].iter();
        let edges = members.flat_map(|&node| &graph.nodes[node].edges);
        edges.map(|edge| self.of_node[edge.to]).collect()
    }

    /// Subschemas below the root, each reference written out; a group that leads back to itself is written
    /// out once wherever it is led to from outside.
    fn size(&self, graph: &Graph<'_>) -> u64 {
        let mut sizes = vec![0_u64; self.members.len()];
        for group in (0..self.members.len()).rev() {
            let mut size = 0_u64;
            for &node in &self.members[group] {
                let node = &graph.nodes[node];
                let below = node.edges.iter().fold(0_u64, |sum, edge| {
                    let to = self.of_node[edge.to];
                    sum.saturating_add(if to == group { 1 } else { sizes[to] })
                });
                size = size.saturating_add(1 + node.times().saturating_mul(below).min(u64::MAX - 1));
            }
            sizes[group] = size;
        }
        sizes[self.of_node[graph.root]]
    }
}

fn check_chains(graph: &Graph<'_>, order: &[usize], groups: &Groups) -> Result<(), CostFault> {
    // On one value, from the end.
    let mut on_value = vec![1_usize; graph.nodes.len()];
    for &node in order.iter().rev() {
        let below = graph.nodes[node].same().map(|edge| on_value[edge.to]).max();
        on_value[node] += below.unwrap_or(0);
        if groups.cyclic[groups.of_node[node]] && on_value[node] > ENDLESS_CHAIN_MAX {
            return Err(CostFault::Chain);
        }
    }
    // Down to the end.
    let mut down = vec![0_usize; groups.members.len()];
    for group in (0..down.len()).rev() {
        let leads_to = groups.leads_to(graph, group).into_iter();
        let below = leads_to.filter(|&to| to != group).map(|to| down[to]).max();
        // A group that leads back to itself is bounded by what its members add to a value.
        down[group] = 1 + below.unwrap_or(0);
    }
    match down.iter().any(|&deep| deep > CHAIN_MAX) {
        true => Err(CostFault::Chain),
        false => Ok(()),
    }
}

/// Looks at each subschema that contains itself: what it applies to any one part of its value may at most
/// once be something endless. Then there is never more than one such at a place of a payload.
fn check_growth(graph: &Graph<'_>, order: &[usize], groups: &Groups) -> Result<(), CostFault> {
    let mut place_in_order = vec![0_usize; graph.nodes.len()];
    for (place, &node) in order.iter().enumerate() {
        place_in_order[node] = place;
    }
    let mut steps = 0_usize;
    for entry in 0..graph.nodes.len() {
        if !groups.cyclic[groups.of_node[entry]] {
            continue;
        }
        // How often each subschema is applied to the value that this one is applied to.
        let mut waiting = std::collections::BTreeMap::from([(place_in_order[entry], 1_u64)]);
        let mut parts: Vec<(usize, &Place<'_>, u64)> = Vec::new();
        while let Some((place, times)) = waiting.pop_first() {
            let node = &graph.nodes[order[place]];
            steps += 1 + node.edges.len();
            if steps > STEPS_MAX {
                return Err(CostFault::Subschemas);
            }
            for edge in &node.edges {
                if !groups.endless[groups.of_node[edge.to]] {
                    continue;
                }
                match &edge.place {
                    Place::Same => {
                        let count = waiting.entry(place_in_order[edge.to]).or_default();
                        *count = count.saturating_add(times.saturating_mul(node.times()));
                    }
                    // A name has no parts.
                    Place::Name => {}
                    part => parts.push((order[place], part, times)),
                }
            }
        }
        if parts.iter().any(|&(_, _, times)| times > 1) {
            return Err(CostFault::Doubles);
        }
        for (index, (from, part, _)) in parts.iter().enumerate() {
            steps += index;
            if steps > STEPS_MAX {
                return Err(CostFault::Subschemas);
            }
            let meets = |(other, second, _): &(usize, &Place<'_>, u64)| {
                graph.may_meet((&graph.nodes[*from], part), (&graph.nodes[*other], second))
            };
            if parts[..index].iter().any(meets) {
                return Err(CostFault::Doubles);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
