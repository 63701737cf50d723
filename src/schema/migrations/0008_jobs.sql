-- When a job of the daemons last ran, whichever of them it was: each is done by one, once a day.
CREATE TABLE hyperfeed_jobs (
    name TEXT PRIMARY KEY,
    ran_at TIMESTAMPTZ NOT NULL,
    problem TEXT  -- NULL: all was done
);
