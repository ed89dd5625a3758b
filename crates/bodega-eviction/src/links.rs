//! Doubly linked lists over slots: one slab of nodes, several heads. No allocation a move.

use crate::Id;

const NONE: u32 = u32::MAX;

/// A node of some list. `K` is what a policy orders by beyond the order of its lists; most need nothing.
#[derive(Clone, Copy)]
pub(crate) struct Node<K> {
    previous: u32,
    next: u32,
    pub(crate) identity: u64,
    pub(crate) key: K,
    /// 40 bits of size, so that they share 8 bytes with what follows.
    size_low: u32,
    size_high: u8,
    /// How often it was asked for, as far as the policy has looked.
    pub(crate) count: u16,
    /// Which list it is on; `OFF` if none.
    pub(crate) list: u8,
}

/// What is larger counts as if it were so large: no cache is meant to hold it.
pub(crate) const MAX_SIZE_BYTES: u64 = (1 << 40) - 1;

/// Not on a list.
pub(crate) const OFF: u8 = u8::MAX;
/// The list of what is never let go.
pub(crate) const PINNED: u8 = u8::MAX - 1;

/// The nodes of all slots.
#[derive(Default)]
pub(crate) struct Nodes<K = ()>(Vec<Node<K>>);

/// A FIFO: new at the head, out at the tail.
#[derive(Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    pub(crate) bytes: u64,
    pub(crate) len: usize,
    number: u8,
}

impl<K: Copy + Default> Nodes<K> {
    pub(crate) fn get(&self, id: Id) -> Option<&Node<K>> {
        self.0.get(id as usize).filter(|node| node.list != OFF)
    }

    pub(crate) fn set(&mut self, id: Id, identity: u64, size_bytes: u64) {
        let wanted = id as usize + 1;
        if self.0.len() < wanted {
            if self.0.capacity() < wanted {
                // By a quarter: doubling would cost as much again as the entries' nodes.
                self.0.reserve_exact(wanted / 4 + 1024);
            }
            self.0.resize(wanted, Node::empty());
        }
        let size_bytes = size_bytes.min(MAX_SIZE_BYTES);
        let (size_low, size_high) = (size_bytes as u32, (size_bytes >> 32) as u8);
        self.0[id as usize] = Node { identity, size_low, size_high, ..Node::empty() };
    }

    /// The node of an entry that `set` has made, also just after it has left its list.
    pub(crate) fn of(&mut self, id: Id) -> &mut Node<K> {
        &mut self.0[id as usize]
    }

    pub(crate) fn capacity_bytes(&self) -> u64 {
        (self.0.capacity() * size_of::<Node<K>>()) as u64
    }
}

impl<K> Node<K> {
    pub(crate) fn size_bytes(&self) -> u64 {
        u64::from(self.size_high) << 32 | u64::from(self.size_low)
    }
}

impl<K: Default> Node<K> {
    fn empty() -> Self {
        let key = K::default();
        Self { previous: NONE, next: NONE, identity: 0, key, size_low: 0, size_high: 0, count: 0, list: OFF }
    }
}

impl List {
    pub(crate) const fn new(number: u8) -> Self {
        Self { head: NONE, tail: NONE, bytes: 0, len: 0, number }
    }

    pub(crate) const fn tail(&self) -> Option<Id> {
        if self.tail == NONE { None } else { Some(self.tail) }
    }

    pub(crate) fn push<K>(&mut self, nodes: &mut Nodes<K>, id: Id) {
        let node = &mut nodes.0[id as usize];
        node.previous = NONE;
        node.next = self.head;
        node.list = self.number;
        self.bytes += node.size_bytes();
        self.len += 1;
        if self.head == NONE {
            self.tail = id;
        } else {
            nodes.0[self.head as usize].previous = id;
        }
        self.head = id;
    }

    /// Takes out `id`, which must be on this list.
    pub(crate) fn take<K>(&mut self, nodes: &mut Nodes<K>, id: Id) {
        let (previous, next, size_bytes) = {
            let node = &nodes.0[id as usize];
            (node.previous, node.next, node.size_bytes())
        };
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
    fn a_node_costs_32_bytes_at_most() {
        // Every cached object pays this: the store counts 40 bytes into each entry's size, which leaves a quarter for
        // nodes that are not used yet.
        assert_eq!(size_of::<Node<()>>(), 24);
        assert_eq!(size_of::<Node<u64>>(), 32);
    }

    #[test]
    fn a_size_has_40_bits() {
        let mut nodes: Nodes = Nodes::default();
        for (size_bytes, kept) in
            [(0, 0), (5_000_000_000, 5_000_000_000), (MAX_SIZE_BYTES, MAX_SIZE_BYTES), (u64::MAX, MAX_SIZE_BYTES)]
        {
            nodes.set(0, 1, size_bytes);
            assert_eq!(nodes.of(0).size_bytes(), kept);
        }
    }
}
