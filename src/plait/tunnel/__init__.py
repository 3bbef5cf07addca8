"""Parcels over paths: what goes into datagrams, when, on which path, and in which order it comes out. Pure.

* ``frames``: what travels inside a sealed datagram.
* ``sender`` with ``classes`` (what a flow is like), ``waiting`` (its queue), ``scheduler`` (which path),
  ``congestion`` and ``estimate`` (how fast), ``flight`` (what is under way).
* ``receiver`` with ``receipts`` (what to acknowledge), ``dedupe`` and ``resequencer``.

The driver owns sockets, seals, counters and payloads. This room knows tokens (ints that the driver
chose), sizes and numbers. One `Sender` and one `Receiver` a session at each end; time is seconds of any
monotonic clock, the same for all calls of one end. The unit is the *run*: equal segments of one payload,
a superpacket from TUN with its one set of headers, or equally long packets of one flow read in a row.

Sending::

    sender = Sender(now, wish)                    # wish(key) -> Wish: what rules say of a flow, once for each
    sender.set_path(path, now, mode=, weight=, up=)        # also when any of these changes; drop_path(path)
    if not sender.offer(key, token, count, size, now):     # size: of one whole segment's datagram on the wire
        drop the payload
    for parcel in sender.poll(now):               # again until it gives nothing
        # send segments parcel.first .. +parcel.count of payload parcel.token on parcel.path, with heads
        # of parcel.treatment, parcel.lane; a superpacket's segment i: order = parcel.number - parcel.first,
        # index = i (LAST on the payload's last one); single packets: order = parcel.number + n, index 0, LAST
        sender.sent(parcel, counter_of_the_first, now)
    free(sender.released())                       # after the parcels were sent
    for path in sender.probes(now): send an Echo
    wake up at sender.deadline()
    sender.on_ack(ack, now); sender.on_alive(path, now)    # an EchoReply came on that path

Receiving, after the seal and the replay window::

    receiver = Receiver()
    receiver.on_datagrams(path, counter, count, bytes_on_the_wire, treatment, now, waited)    # None: not DATA
    out, kept = receiver.on_data(treatment, lane, order_of_the_first_segment, count, token, now)
        # a run: consecutive counters, consecutive order + index, same lane; ``order + index`` mod 2**24
        # kept > 0: so many pieces of this run come out later: keep its payload under ``token``
    for token, skip, segments in out:             # write them now, in this order
    for delivery in receiver.poll(now): the same  # a gap was given up
    for ack in receiver.acks(now): send it, best on path ack.path
    wake up at receiver.deadline()

Count wire bytes alike at both ends: UDP payload, UDP and IP headers.
"""
