-- What was claimed of one target, held or let go: the gate asks when an outlet that was left off was turned on again.
create index claim_target on claim (target);
