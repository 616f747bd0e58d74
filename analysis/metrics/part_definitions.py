"""What the numbers of a part of the traffic mean: of a window, a group, those whom an outage touched.
Part of `analysis.metrics.definitions`."""

from __future__ import annotations

from analysis.run_folder.parts import OF_WHOM

WINDOW = {
    "requests": "Requests that arrived in the window, those still in flight included (count).",
    "accuracy": "Right answers over the window's held-out requests, unanswered ones wrong (share).",
    "client_accuracy": "What the clients' own models would get on the same requests (share).",
    "answered_by_server_share": "The window's requests whose final answer was the server's (share).",
    "timed_out_share": "The window's requests with outcome timed_out (share).",
    "refused_share": "The window's requests with outcome refused (share).",
    "answered_share": "The window's requests that got a final answer (share).",
    **{
        f"p{percent}_latency_s": (
            f"{percent}th percentile of the time to the final answer of the window's requests; none if too "
            "few got one, or too many are open (s)."
        )
        for percent in (50, 95, 99)
    },
    "deferral_rate": "The window's requests that the policy sent, over those decided (share).",
    "not_sent_share": (
        "The window's requests that the policy sent and link, breaker or budget kept from leaving (share)."
    ),
    "answered_in_time_share": "As in goodput, of the window's requests (share).",
    "served_in_time_share": "As in goodput, of the window's requests (share).",
    "cost_per_request": "c_e x charged attempts over the window's requests (units of the loss).",
    "spend": "As in cost, for the window's requests (units of money).",
    "amplification": "Sends per request that was sent at all, in the window (ratio).",
}

PLACES = (
    "whole_run",
    "before",
    "during_any",
    "affected",
    "own_links",
    "outside",
    "each.*.during",
    "each.*.after",
)

OF_PARTS = {
    f"{section}.*.{place}.{name}": meaning.replace("the window's", "these").replace("The window's", "These")
    for section in OF_WHOM
    for place in ("whole_run", "affected", "unaffected")
    for name, meaning in WINDOW.items()
}
OF_PARTS |= {
    "queues.*.verdict": "As in run_length, of one of several servers (text).",
    "queues.*.offered": (
        "Requests per second that asked it first, outside outages of anything, x what one takes it in full "
        "batches of the models that they asked / its replicas: 1 is all that it can serve (ratio)."
    ),
    "queues.*.utilisation": "As in load, of one of several servers (share).",
    "queues.*.waiting_mean": "Requests that wait at it, mean over time (count).",
    "queues.*.waiting_max": "Requests that wait at it, at most (count).",
    "queues.*.replicas_usd": "As money.replicas_usd, of this server; none where it has no price (USD).",
    "queues.*.usable_share": "As in availability, of this server (share of time).",
}
OF_PARTS |= {
    "outages.of_single_links": (
        "Outages and slowdowns of single clients' links that began before the horizon; they are no entry of "
        "`each` (count)."
    ),
    "outages.normal_waiting": (
        "95th percentile of the 5-s means of the waiting requests from the warm-up to the first outage, at "
        "least 1; none without outage, or with under 20 such means: then recovery is not judged (count)."
    ),
    "outages.each.*.target": "What the outage hit, as in the events (text).",
    "outages.each.*.label": "The same in words (text).",
    "outages.each.*.from_s": "Start of the outage (s of virtual time).",
    "outages.each.*.to_s": "End of the outage, exclusive (s of virtual time).",
    "outages.each.*.after_until_s": (
        "End of the window after: the next outage or the horizon (s of virtual time)."
    ),
    "outages.each.*.recovery_s": (
        "When all is as before: the larger of the two below, from the outage's end; the queue's alone where "
        "too little was sent before the first outage to judge the service; none if one of them is none (s)."
    ),
    "outages.each.*.service_recovery_s": (
        "From the outage's end to the arrival of the last request that failed before the first 20 sent "
        "requests on end of which no more failed than usual, that is, got no answer of the server (95th "
        "percentile before the first outage, at least one); of an outage of links, those of its groups; none "
        "if that is not seen before the next outage and the horizon, or not judged (s)."
    ),
    "outages.each.*.queue_recovery_s": (
        "From the outage's end to the first whole second from which, for 10 s on end, the 5-s mean of the "
        "waiting requests is at most normal_waiting; none if that is not seen before the next outage and the "
        "horizon, or not judged (s)."
    ),
}
OF_PARTS |= {f"outages.{place}.{name}": meaning for place in PLACES for name, meaning in WINDOW.items()}

OF_CLASSES = {
    "classes.balanced_accuracy": (
        "Accuracy over held-out requests class by class, mean over the classes that were asked about (share)."
    ),
    "classes.balanced_client_accuracy": "The same, had the clients' own models answered all of them (share).",
    "classes.by_class.*.accuracy": "Right answers over the held-out requests of this true class (share).",
    "classes.by_class.*.client_accuracy": "Those of them that the client's own model gets right (share).",
    "classes.by_class.*.server_accuracy": "Those of them that the server's model gets right (share).",
    "classes.by_class.*.deferral_rate": "Those of them that the policy sent (share).",
    "ranking.*.auroc": (
        "Of each group the chance that its score, as in the requests, is higher for a held-out request that "
        "the client's model gets wrong than for one that it gets right, ties counted half; none where it "
        "gets all right, or none (share)."
    ),
    "ranking.*.aurc": (
        "The area under the group's risk-coverage curve: of the held-out requests of the lowest scores the "
        "share that the client's model gets wrong, mean over how many are kept (share)."
    ),
}

OF_ROUNDS = {  # of several models; and in which clients learn together
    "rounds.by_model.*.made": "Of several models that train: rounds that made a new version of it (rounds).",
    "rounds.by_model.*.lost": (
        "Its rounds cut short because the last server that was training it stopped (rounds)."
    ),
    "rounds.by_model.*.skipped": "Its rounds that were due while no server that has it was up (rounds).",
    "rounds.by_model.*.age_mean_s": (
        "For how long its version in force had been in force, mean over the time after the warm-up (s)."
    ),
    "federation.merged": "Rounds in which clients learned together and the server merged (rounds).",
    "federation.lost": (
        "Such rounds in which the server was down when it would merge, or no upload was there (rounds)."
    ),
    "federation.own": "Such rounds in which nothing is merged, as the scenario has it (rounds).",
    "federation.unfinished": "Such rounds that the horizon cut short (rounds).",
    "federation.uploaded_share": (
        "Of rounds that were merged or lost: share of the clients that took part and did not drop out whose "
        "upload came in time; none where nobody did (share)."
    ),
    "federation.received_share": (
        "Share of the clients that took part in merged rounds who got the result before their next (share)."
    ),
    "federation.bytes_up": "Uploads that came in time, over the whole run (bytes).",
    "federation.bytes_down": "Broadcasts that arrived, over the whole run (bytes).",
    "federation.broken": (
        "Of the uploads that came in time those of broken clients, where the scenario has some (uploads)."
    ),
    "federation.dropped": (
        "Times that a client that took part in a round dropped out before its upload, where some do (count)."
    ),
    "federation.uplinks": (
        "Uploads that came in time where neighbours share an uplink: one for each cluster (uploads)."
    ),
    "federation.bytes_between": (
        "What neighbours that share an uplink sent to the one that uploads, over the whole run (bytes)."
    ),
    "federation.least_steps": "Of unequal devices the fewest steps that one which took part did (steps).",
    "federation.most_steps": "The most that one did (steps).",
    "federation.handed_over": "Labelled samples that clients handed over to neighbours (samples).",
    "federation.handed_over_share": (
        "The same over those that their givers had been told since they last handed some over (share)."
    ),
    "federation.handed_over_bytes": "Bytes of these samples, between devices (bytes).",
    "prototypes.answered": "Requests that the client's nearest prototype answered (count).",
    "prototypes.answered_share": "The same over all with a known outcome (share).",
    "prototypes.gain": (
        "Right answers of prototypes on held-out requests, less those that the client's own model would have "
        "got right (difference of shares, signed)."
    ),
    "prototypes.age_s": "Mean time since the prototypes that answered had been merged (s).",
    "prototypes.age_max_s": "The longest such time (s).",
    "prototypes.classes": (
        "Classes that the last merged prototypes know, of the frozen model with the fewest (count)."
    ),
    "prototypes.samples": (
        "Labelled samples behind the last merged prototypes, of the frozen model with the fewest (count)."
    ),
    "prototypes.fewest": (
        "The fewest samples of which an uploaded mean was: how much it may say of one of them (count)."
    ),
    "heads.answered": "Requests that heads answered from features that a server sent back (count).",
    "heads.gain": (
        "Right answers of heads on held-out requests, less those that the server's own last layer would have "
        "got right (difference of shares, signed)."
    ),
    "heads.personal_gain": (
        "The same of requests that arrived once heads of the first round in which each learned alone were "
        "ready; none where there is no such round (difference of shares, signed)."
    ),
    "heads.bytes_down": "Features of the answers that were taken: 4 bytes a number (bytes).",
    "heads.labels": "Labels that a client had been told as it last took part in a round, mean (count).",
    "heads.steps": "Steps of all heads in all rounds (count).",
    "heads.work_jain": (
        "Jain's index of the steps of the clients that took part in some round: 1 if all did as much (ratio)."
    ),
    "warm_start.clients": (
        "Clients whose frozen models together the servers' models learned to imitate before the run; "
        "of several models these numbers are of the one with the largest kl (count)."
    ),
    "warm_start.samples": "Samples of the server's pool that they imitated on, without labels (count).",
    "warm_start.labelled": "Samples of that pool whose labels the server then learned from (count).",
    "warm_start.bytes_up": (
        "What the clients said of that pool and of the calibration pool: 4 bytes a class, sample and client "
        "(bytes)."
    ),
    "warm_start.epochs": "Passes over the pool until there was no progress, or all of them (count).",
    "warm_start.kept": "The pass after which the weights were taken, 0: the initial ones (count).",
    "warm_start.ensemble_accuracy": "Calibration samples that clients together get right (share).",
    "warm_start.kl_before": "As kl, of the initial weights (nats).",
    "warm_start.kl": "Mean KL(clients together || model) on the calibration pool, as taken (nats).",
    "warm_start.agreement": (
        "Samples of the calibration pool on which clients together and the model, as taken, would answer the "
        "same (share)."
    ),
}
