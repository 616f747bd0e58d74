"""One round of Flower's simulation: every virtual client trains a logistic regression on digits and answers.
Started by `benchmarks.fleet` in Flower's own environment: `flower_peer.py CLIENTS WORKERS SAMPLES EPOCHS`."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from sklearn.datasets import load_digits

CLIENTS, WORKERS, SAMPLES, EPOCHS = map(int, sys.argv[1:])
BATCH, RATE, ROUNDS = 32, 0.5, 2
_DIGITS = load_digits()
PIXELS, LABELS = (_DIGITS.data / 16).astype(np.float32), _DIGITS.target

client = ClientApp()
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Mini-batch SGD on the cross-entropy of the client's own samples."""
    draw = np.random.default_rng(int(context.node_config["partition-id"]))
    own = draw.permutation(len(PIXELS))[:SAMPLES]
    weight, bias = (array.copy() for array in message.content["arrays"].to_numpy_ndarrays())
    for _ in range(EPOCHS):
        order = draw.permutation(own)
        for start in range(0, SAMPLES, BATCH):
            chosen = order[start : start + BATCH]
            logits = PIXELS[chosen] @ weight + bias
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            slope = odds / odds.sum(axis=1, keepdims=True)
            slope[np.arange(len(chosen)), LABELS[chosen]] -= 1.0
            slope /= len(chosen)
            weight -= RATE * PIXELS[chosen].T @ slope
            bias -= RATE * slope.sum(axis=0)
    reported = {"arrays": ArrayRecord([weight, bias]), "metrics": MetricRecord({"num-examples": SAMPLES})}
    return Message(content=RecordDict(reported), reply_to=message)


@client.evaluate()
def evaluate(message: Message, _context: Context) -> Message:
    """Accuracy on all samples."""
    weight, bias = message.content["arrays"].to_numpy_ndarrays()
    accuracy = float(((PIXELS @ weight + bias).argmax(axis=1) == LABELS).mean())
    reported = {"metrics": MetricRecord({"accuracy": accuracy, "num-examples": len(LABELS)})}
    return Message(content=RecordDict(reported), reply_to=message)


class Timed(FedAvg):
    """Federated averaging that notes when each round begins."""

    began: list[float] = []  # noqa: RUF012  (one strategy in one process)

    def configure_train(self, *arguments, **words):
        self.began.append(time.perf_counter())
        return super().configure_train(*arguments, **words)


@server.main()
def main(grid: Grid, _context: Context) -> None:
    """Two rounds; the second is timed, when the actors stand ready."""
    strategy = Timed(min_train_nodes=CLIENTS, min_evaluate_nodes=CLIENTS, min_available_nodes=CLIENTS)
    start = ArrayRecord([np.zeros((64, 10), np.float32), np.zeros(10, np.float32)])
    strategy.start(grid=grid, initial_arrays=start, num_rounds=ROUNDS)
    seconds = time.perf_counter() - strategy.began[-1]
    print("\n" + json.dumps({"seconds": seconds, "samples": len(LABELS)}), flush=True)


if __name__ == "__main__":
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": WORKERS}}
    run_simulation(server_app=server, client_app=client, num_supernodes=CLIENTS, backend_config=resources)
