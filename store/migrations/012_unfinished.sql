-- Each scrape of the metrics counts what was begun and did not end.
create index action_unfinished on action (committed) where outcome = '';

---- create above / drop below ----

drop index action_unfinished;
