//! Doubly linked lists over slots: one slab of nodes, several heads. 32 bytes an entry, no allocation a move.

use crate::Id;

const NONE: u32 = u32::MAX;

/// A node of some list.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    previous: u32,
    next: u32,
    pub(crate) size_bytes: u64,
    pub(crate) identity: u64,
    /// Which list it is on; `OFF` if none.
    pub(crate) list: u8,
}

/// Not on a list.
pub(crate) const OFF: u8 = u8::MAX;

const EMPTY: Node = Node { previous: NONE, next: NONE, size_bytes: 0, identity: 0, list: OFF };

/// The nodes of all slots.
#[derive(Default)]
pub(crate) struct Nodes(Vec<Node>);

/// A FIFO: new at the head, out at the tail.
#[derive(Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    pub(crate) bytes: u64,
    pub(crate) len: usize,
    number: u8,
}

impl Nodes {
    pub(crate) fn get(&self, id: Id) -> Option<&Node> {
        self.0.get(id as usize).filter(|node| node.list != OFF)
    }

    pub(crate) fn set(&mut self, id: Id, identity: u64, size_bytes: u64) {
        let wanted = id as usize + 1;
        if self.0.len() < wanted {
            if self.0.capacity() < wanted {
                // By a quarter: doubling would cost as much again as the entries' nodes.
                self.0.reserve_exact(wanted / 4 + 1024);
            }
            self.0.resize(wanted, EMPTY);
        }
        self.0[id as usize] = Node { size_bytes, identity, ..EMPTY };
    }

    /// Identity and size, also just after the entry has left its list.
    pub(crate) fn remembered(&self, id: Id) -> (u64, u64) {
        self.0.get(id as usize).map_or((0, 0), |node| (node.identity, node.size_bytes))
    }

    pub(crate) fn capacity_bytes(&self) -> u64 {
        (self.0.capacity() * size_of::<Node>()) as u64
    }
}

impl List {
    pub(crate) const fn new(number: u8) -> Self {
        Self { head: NONE, tail: NONE, bytes: 0, len: 0, number }
    }

    pub(crate) const fn tail(&self) -> Option<Id> {
        if self.tail == NONE { None } else { Some(self.tail) }
    }

    pub(crate) fn push(&mut self, nodes: &mut Nodes, id: Id) {
        let node = &mut nodes.0[id as usize];
        node.previous = NONE;
        node.next = self.head;
        node.list = self.number;
        self.bytes += node.size_bytes;
        self.len += 1;
        if self.head == NONE {
            self.tail = id;
        } else {
            nodes.0[self.head as usize].previous = id;
        }
        self.head = id;
    }

    /// Takes out `id`, which must be on this list.
    pub(crate) fn take(&mut self, nodes: &mut Nodes, id: Id) {
        let Node { previous, next, size_bytes, .. } = nodes.0[id as usize];
        if previous == NONE {
            self.head = next;
        } else {
            nodes.0[previous as usize].next = next;
        }
        if next == NONE {
            self.tail = previous;
        } else {
            nodes.0[next as usize].previous = previous;
        }
        nodes.0[id as usize].list = OFF;
        self.bytes -= size_bytes;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_costs_32_bytes() {
        // Every cached object pays this: the bound of 1.4 KiB for a small one counts on it.
        assert_eq!(size_of::<Node>(), 32);
    }
}
