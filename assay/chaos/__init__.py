"""Doing harm, provably: faults that are seen to bite, heal themselves after a limit, and leave rows in a ledger.

On the node:

- `node_program`: what does it there, with its parts `node_processes`, `node_disk` and `node_network`; sent as text, so
  that it knows nothing of ours;
- `node`: having the program run on a node, directly where the node is a set of namespaces of this machine;
- `node_pods`: the same through a short-lived privileged pod on any cluster's node;
- `machines`: what can crash a whole node, where that can be done;
- `packets`: which packets are dropped, as plain data (pure), and the nftables rules that say so.

Whom:

- `target`: the pod and container that a fault is about;
- `roles`: who is meant by a role, such as the leader of a partition;
- `readiness`: how many pods are ready, by what owns them.

What:

- `faults`: killing, pausing, and dropping packets: how each is done, seen and undone;
- `isolation`: whom a broker or consumer is cut off from (pure), and by which connections that is seen;
- `deletion`, `crash`, `drain`, `disk`, `rolling`: of pods, of nodes, of volumes, of all brokers one after another;
- `composite`, `witness`, `names`: several at once, and what else must be seen of one.

How:

- `catalogue`: every fault by its name, with its arguments, for experiments; `builders` makes them;
- `injection`: one injection from asking to healed, in the ledger.
"""
