"""Doing harm, provably: faults that are seen to bite, heal themselves after a limit, and leave rows in a ledger.

- `node_program`: what does it, on the node itself; sent as text, so it knows nothing of ours;
- `node`: having the program run on a node, directly where the node is a set of namespaces of this machine;
- `node_pods`: the same through a short-lived privileged pod on any cluster's node;
- `packets`: which packets are dropped, as plain data (pure), and the nftables rules that say so;
- `target`: the pod and container that a fault is about;
- `faults`: killing, pausing, and dropping packets: how each is done, seen and undone;
- `injection`: one injection from asking to healed, in the ledger.
"""
