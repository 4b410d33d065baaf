-- What became of one target, whatever it is: the latest first.
create index history_of on history (target, id desc);
