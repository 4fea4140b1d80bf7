"""Run by Ray's own environment: a cluster of one machine that works; a line on stdin takes it and brings another."""

import sys

import ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
machine = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(machine)
cluster.add_node(num_cpus=1)
sys.stdin.readline()
ray.shutdown()
cluster.shutdown()
