/*
 * Records, versions and backups: rotation, rollback, re-sweep, purge and restore of one key.
 *
 * A step is what one write to one item does; whatever a step decides by was read before, by steps of their own. Nothing is
 * counted (no generations, revisions, epochs): each process has a bit that says whether what it read was changed since.
 * So the number of writes, sweeps, crashes, restores and rollbacks has no bound; only versions and records have one.
 *
 * README.md: what stands for what in the code. cases.ts: which flags bound the model, break a rule, or prove that a place is reached.
 */
#ifndef VERSIONS
#define VERSIONS 2
#endif
#ifndef RECORDS
#define RECORDS 1
#endif
#ifndef EXECUTIONS
#define EXECUTIONS 1 /* of the rotation at one time */
#endif

#define NONE 0
#define PRE_ACTIVE 1
#define ACTIVE 2
#define RETIRING 3
#define DESTROY_PENDING 4
#define DESTROYED 5

#define FREE 0
#define NEW_VERSION 1
#define ROLLBACK 2
#define RESWEEP 3

/* The key's item. */
byte state[VERSIONS + 1];
byte pointer = 1;
bool proved[VERSIONS + 1];
bool retired[VERSIONS + 1];    /* purgeNotBefore is set, and over */
bool authorized[VERSIONS + 1]; /* its destruction is decided */
byte lock = FREE;              /* whose job holds it: its goal */
byte from, to;                 /* that job's */
bool backupHold[VERSIONS + 1];
bool restoreHold, restoreEnded;
byte minimum = 1;              /* the database's fence */

/* Bits instead of revisions and epochs. */
bool mine[EXECUTIONS];         /* the job that this execution belongs to still holds the lock */
bool covers;                   /* the job's sweep began after the restore had ended */
bool fenceKept[VERSIONS + 1];  /* it has been fenced without a break since its purge began */
bool epochKept[VERSIONS + 1];  /* no restore began or ended since that */

/* The records: the version that each names, and whether its wrapped DEK is the one of its ciphertext. */
byte rec[RECORDS];
bool opens[RECORDS];
byte listed[RECORDS];          /* an index, that lags behind */

/* One backup at a time. */
bool hasBackup;
byte backup[RECORDS];
bool afterHold[VERSIONS + 1];  /* it was taken after the hold on that version was placed */

/* The writer's and the worker's cached active version; 0: none. */
byte writerHas, workerHas;
byte workerOn;                 /* 1 + the record that the worker has read; 0: none */
bool written;                  /* the application, or a restore, has written that record since */
bool rightful;                 /* the worker's target was active at some moment since */

/* A fence compares numbers: alone it does not keep out who has a version that a rollback has left. */
#ifdef FENCE_INSTEAD_OF_BARRIER
#define DATABASE_FENCE
#endif

/* What the barrier's time buys, see barrier.pml: nobody has a version cached that was active before it began. */
#define ONLY(has) ((has) == 0 || (has) == pointer)
#define HAS_WAITED (ONLY(writerHas) && ONLY(workerHas))
#define HAS_REHEARSED(v) (writerHas != (v) && workerHas != (v))
#define TAKES(v) true
#ifdef UNFENCED_WRITER
#undef HAS_WAITED
#undef HAS_REHEARSED
#define HAS_WAITED ONLY(workerHas)
#define HAS_REHEARSED(v) (workerHas != (v))
#endif
#ifdef UNFENCED_WORKER
#undef HAS_WAITED
#undef HAS_REHEARSED
#define HAS_WAITED ONLY(writerHas)
#define HAS_REHEARSED(v) (writerHas != (v))
#endif
#ifdef SKIP_BARRIER
#undef HAS_WAITED
#undef HAS_REHEARSED
#define HAS_WAITED true
#define HAS_REHEARSED(v) true
#endif
#ifdef DATABASE_FENCE
#undef HAS_WAITED
#undef HAS_REHEARSED
#undef TAKES
#define HAS_WAITED true
#define HAS_REHEARSED(v) true
#define TAKES(v) ((v) >= minimum)
#endif

#ifdef CAS_VERSION_ONLY
#define UNCHANGED(r, old) (rec[r] == (old))
#else
#ifdef NO_CAS
#define UNCHANGED(r, old) true
#else
#define UNCHANGED(r, old) (rec[r] == (old) && !written)
#endif
#endif

/* What is active is a matter of activations, not of numbers: before a record goes to a lower one, the ledger is asked. */
#ifdef WORKER_LOWERS
#define MAY_LEAVE(old) true
#else
#define MAY_LEAVE(old) (old < workerHas || pointer == workerHas)
#endif

#ifdef NO_EPOCH
#define NOT_RESTORED(v) true
#else
#define NOT_RESTORED(v) epochKept[v]
#endif

#ifdef NO_BACKUP_GATE
#define HELD(v) restoreHold
#else
#define HELD(v) (backupHold[v] || restoreHold)
#endif
#ifdef NO_EPOCH
#define STILL_HELD(v) backupHold[v]
#else
#define STILL_HELD(v) HELD(v)
#endif

#ifdef NO_BACKUPS
#define HOLD_FOR_BACKUPS(v) skip
#else
#define HOLD_FOR_BACKUPS(v) backupHold[v] = true; afterHold[v] = false
#endif
/* A backup that is kept for longer than the configuration says outlives its hold. */
#ifdef ARCHIVE
#define MAY_LAPSE(v) backupHold[v]
#define RESTORABLE false
#else
#define MAY_LAPSE(v) (backupHold[v] && (!hasBackup || afterHold[v]))
#define RESTORABLE hasBackup
#endif

#ifdef GSI_VERIFY
#define COUNTED(r) listed[r]
#else
#define COUNTED(r) rec[r]
#endif

#ifdef PROBE_DESTROYED
#define REACHED_DESTROYED assert(false)
#else
#define REACHED_DESTROYED skip
#endif
#ifdef PROBE_SECOND_ROTATION
#define REACHED_SECOND_ROTATION assert(pointer != 3)
#else
#define REACHED_SECOND_ROTATION skip
#endif
#ifdef PROBE_ROLLBACK
#define REACHED_ROLLBACK assert(lock != ROLLBACK)
#else
#define REACHED_ROLLBACK skip
#endif
#ifdef PROBE_RESTORED
#define REACHED_RESTORED assert(!restoreHold || !covers)
#else
#define REACHED_RESTORED skip
#endif
#ifdef PROBE_WITHDRAWN
#define REACHED_WITHDRAWN assert(false)
#else
#define REACHED_WITHDRAWN skip
#endif
#ifdef PROBE_RETRY
#define REACHED_RETRY assert(lock != NEW_VERSION || pointer != to)
#else
#define REACHED_RETRY skip
#endif

/* shared/keyring/states.ts. Invariant 6. */
inline move(v, next) {
  assert((state[v] == NONE && next == PRE_ACTIVE) ||
    (state[v] == PRE_ACTIVE && (next == ACTIVE || next == DESTROYED)) ||
    (state[v] == ACTIVE && next == RETIRING) ||
    (state[v] == RETIRING && (next == ACTIVE || next == DESTROY_PENDING)) ||
    (state[v] == DESTROY_PENDING && (next == RETIRING || next == DESTROYED)));
  if :: state[v] == DESTROY_PENDING -> fenceKept[v] = false; epochKept[v] = false; authorized[v] = false :: else fi;
  state[v] = next
}

/* After every step that changes a version or a record. */
inline check() {
  d_step {
    i_ = 0; n_ = 0;
    do
    :: i_ < RECORDS ->
      /* 1: no live record names a destroyed version; 4: nor one that was not proved. */
      assert(state[rec[i_]] != DESTROYED && state[rec[i_]] != NONE && state[rec[i_]] != PRE_ACTIVE);
      assert(proved[rec[i_]]);
      /* 1: nor one that can be restored. */
      assert(!RESTORABLE || state[backup[i_]] != DESTROYED);
      /* 2, 10 */
      assert(opens[i_]);
      i_++
    :: else -> break
    od;
    /* 3 */
    assert(state[pointer] == ACTIVE);
    i_ = 1;
    do
    :: i_ <= VERSIONS -> n_ = n_ + (state[i_] == ACTIVE); i_++
    :: else -> break
    od;
    assert(n_ == 1);
    i_ = 0; n_ = 0
  }
}

/* Any of them. */
inline pick(r) {
  if :: r = 0 :: r = RECORDS - 1 fi
}
inline pickVersion(v) {
  v = 1;
  do :: v < VERSIONS -> v++ :: break od
}

/* A process dies; the next try begins with the first step. */
#define DIES atomic { true -> goto dead }

/* 5: nobody seals under a version whose retirement is complete. A fence alone finds those who do by the next sweep. */
inline sealUnder(v) {
#ifndef DATABASE_FENCE
  assert(!retired[v])
#else
  skip
#endif
}

inline tellWorker(r) {
  if :: workerOn == r + 1 -> written = true :: else fi
}

/* An application: takes the active version from its keyring, and writes later. It may die in between. */
proctype Writer() {
  byte r, i_, n_;
  do
  :: atomic { writerHas == 0 -> writerHas = pointer }
  :: atomic {
      writerHas != 0 && TAKES(writerHas) ->
      sealUnder(writerHas);
      pick(r); rec[r] = writerHas; opens[r] = true; tellWorker(r); writerHas = 0; r = 0;
      check()
    }
  :: atomic { writerHas != 0 -> writerHas = 0 }
  od
}

/* The queue's worker. Messages come any number of times; it may die after every step. */
proctype Worker() {
  byte r, old, i_, n_;
start:
  atomic { workerHas = pointer };
  atomic {
    pick(r); old = rec[r];
    if :: old == workerHas -> goto dead :: else fi;
    workerOn = r + 1; rightful = (pointer == workerHas)
  };
  if
  :: atomic { MAY_LEAVE(old) -> skip }
  :: DIES
  fi;
  if
  :: atomic {
      UNCHANGED(r, old) && TAKES(workerHas) ->
      /* 12 */
      assert(old < workerHas || rightful);
      sealUnder(workerHas);
      rec[r] = workerHas; opens[r] = opens[r] && !written;
      check()
    }
  :: DIES
  fi;
dead:
  atomic { workerHas = 0; workerOn = 0; written = false; rightful = false; old = 0; r = 0; goto start }
}

#ifdef GSI_VERIFY
proctype Index() {
  byte r;
  do
  :: atomic { pick(r); listed[r] = rec[r]; r = 0 }
  od
}
#endif

/* The lock is given up: whoever worked for its job does so no more. */
inline freeLock() {
  lock = FREE; from = 0; to = 0; covers = false;
  n_ = 0;
  do
  :: n_ < EXECUTIONS -> mine[n_] = false; n_++
  :: else -> break
  od;
  n_ = 1;
  do
  /* 3: no version is left without an owner. */
  :: n_ <= VERSIONS -> assert(state[n_] != PRE_ACTIVE); n_++
  :: else -> break
  od;
  n_ = 0
}

/* An execution of a rotation's job. Several may run at one time, also of a job that is over. */
proctype Rotator(byte me) {
  byte v, r, i_, n_;
  bool clean;
#ifdef NO_LOCK
  byte leaves, target;
#endif
start:
  if
  /* CreateVersion: the lock and the new version are one write. */
  :: atomic {
#ifndef NO_LOCK
      lock == FREE ->
#endif
      v = 1;
      do :: v < VERSIONS && state[v] != NONE -> v++ :: else -> break od;
      if
      :: state[v] == NONE ->
        lock = NEW_VERSION; from = pointer; to = v; covers = restoreEnded; mine[me] = true;
#ifdef NO_LOCK
        leaves = from; target = to;
#endif
        move(v, PRE_ACTIVE)
      :: else -> goto dead
      fi;
      v = 0
    }
#ifndef NO_ROLLBACKS
  /* A person asks for a rollback: the lock alone. The version loses its purge date with it. */
  :: atomic {
      lock == FREE ->
      pickVersion(v);
      if
      :: state[v] == RETIRING ->
        lock = ROLLBACK; from = pointer; to = v; covers = restoreEnded; mine[me] = true;
        retired[v] = false;
        REACHED_ROLLBACK
      :: else -> goto dead
      fi;
      v = 0
    }
#endif
  /* A restore has ended: a sweep that makes no version. */
  :: atomic {
      lock == FREE && restoreEnded ->
      lock = RESWEEP; from = pointer; to = pointer; covers = true; mine[me] = true
    }
  /* A person cancels the job: before its activation its version is given up. */
  :: atomic {
      lock != FREE ->
      if :: state[to] == PRE_ACTIVE -> move(to, DESTROYED) :: else fi;
      freeLock(); check();
      goto dead
    }
  /* Another attempt of the job, or another execution beside it. */
  :: atomic {
      lock != FREE -> REACHED_RETRY;
#ifdef RETRY_MAKES_SECOND_VERSION
      /* It does not find the lock its own. */
      if
      :: state[to] == PRE_ACTIVE && state[VERSIONS] == NONE -> to = VERSIONS; move(VERSIONS, PRE_ACTIVE)
      :: else
      fi;
#endif
      mine[me] = true
    }
  fi;
#ifndef ACTIVATE_BEFORE_PROOF
  /* ProveVersion reads the version back and unwraps it. */
  if
  :: atomic { mine[me] -> proved[to] = true }
  :: DIES
  fi;
#endif
#ifdef DATABASE_FENCE
  /* A rollback lowers the databases' fences before. */
  if
  :: atomic { mine[me] -> if :: pointer == from && to < minimum -> minimum = to :: else fi }
  :: DIES
  fi;
#endif
  /* ActivateVersion. */
  if
#ifdef NO_LOCK
  :: atomic {
      pointer != target && state[target] == PRE_ACTIVE ->
      if :: state[leaves] == ACTIVE -> move(leaves, RETIRING); retired[leaves] = false :: else fi;
      move(target, ACTIVE); pointer = target;
      check()
    }
#else
  :: atomic {
      mine[me] && pointer != to ->
      move(from, RETIRING); retired[from] = false;
      move(to, ACTIVE); retired[to] = false; pointer = to;
      if :: workerHas == to -> rightful = true :: else fi;
      REACHED_SECOND_ROTATION;
      check()
    }
#endif
  :: atomic { mine[me] && pointer == to -> skip }
  :: DIES
  fi;
sweep:
  /* CheckBarrier: no writer can hold another version as its active one. */
  if
  :: atomic { mine[me] && HAS_WAITED -> clean = true }
  :: DIES
  fi;
#ifdef DATABASE_FENCE
  if
  :: atomic { mine[me] -> if :: restoreHold && !restoreEnded :: else -> minimum = pointer fi }
  :: DIES
  fi;
#endif
  /* TakeCensus: one record after another. What is stale is the worker's; the next round counts again. */
  do
  :: atomic { r < RECORDS -> clean = clean && (COUNTED(r) == pointer); r++; if :: r == RECORDS -> break :: else fi }
  :: DIES
  od;
  /* ConcludeRound, RetireVersion: versions may be purged, backups hold them, restores that had ended hold nothing more. */
  if
  :: atomic { !clean && mine[me] -> covers = restoreEnded; r = 0; goto sweep }
  :: atomic {
      clean && mine[me] && pointer == to ->
      REACHED_RESTORED;
      v = 1;
      do
      :: v <= VERSIONS ->
        if
        :: state[v] == RETIRING && (v == from || !retired[v] || covers) ->
          retired[v] = true; HOLD_FOR_BACKUPS(v)
        :: else
        fi;
        v++
      :: else -> break
      od;
      v = 0;
#ifdef RELEASE_HOLD_BEFORE_SWEEP
      restoreHold = false; restoreEnded = false;
#else
      if :: covers -> restoreHold = false; restoreEnded = false :: else fi;
#endif
      freeLock()
    }
  :: DIES
  fi;
dead:
  atomic { mine[me] = false; clean = false; r = 0; v = 0; goto start }
}

/* An execution of a purge's job. */
proctype Purger() {
  byte v, r, i_, n_;
  bool clean;
start:
  atomic {
    pickVersion(v);
    if
    /* StopJob, a pause, a cancellation. */
    :: state[v] == DESTROY_PENDING && !authorized[v] -> move(v, RETIRING); goto dead
    /* BeginPurge. Fenced by an earlier attempt: so it stays. */
    :: state[v] == DESTROY_PENDING
    :: state[v] == RETIRING && retired[v] && !HELD(v) ->
#ifndef NO_PENDING
      move(v, DESTROY_PENDING);
#endif
      fenceKept[v] = true; epochKept[v] = true
    :: else -> goto dead
    fi
  };
  /* The rehearsal lasts at least as long as the barrier. */
  if
  :: atomic { HAS_REHEARSED(v) -> clean = true }
  :: DIES
  fi;
  /* TakeCensus. */
  do
  :: atomic { r < RECORDS -> clean = clean && (COUNTED(r) != v); r++; if :: r == RECORDS -> break :: else fi }
  :: DIES
  od;
  /* DestroyVersion: the write that decides. */
  if
  :: atomic { state[v] == DESTROY_PENDING && authorized[v] -> skip }
#ifdef NO_PENDING
  :: atomic {
      clean && state[v] == RETIRING && !HELD(v) && !(lock == ROLLBACK && to == v) ->
      move(v, DESTROY_PENDING); fenceKept[v] = true; epochKept[v] = true; authorized[v] = true
    }
#endif
  :: atomic {
      clean && state[v] == DESTROY_PENDING && !authorized[v] && fenceKept[v] && NOT_RESTORED(v) && !STILL_HELD(v) &&
      !(lock == ROLLBACK && to == v) -> authorized[v] = true
    }
  :: DIES
  fi;
  /* The erasure; or, where this count or anything since speaks against it, back. */
  if
  :: atomic {
      state[v] == DESTROY_PENDING && authorized[v] ->
      if
      :: clean && NOT_RESTORED(v) && !STILL_HELD(v) ->
        move(v, DESTROYED); retired[v] = false; backupHold[v] = false; afterHold[v] = false;
        REACHED_DESTROYED
      :: else -> move(v, RETIRING); REACHED_WITHDRAWN
      fi;
      check()
    }
  :: DIES
  fi;
dead:
  atomic { v = 0; r = 0; clean = false; goto start }
}

/* The rows come back, all of them: the worst of what comes back is what was there. */
inline bringBack() {
  r = 0;
  do :: r < RECORDS -> rec[r] = backup[r]; opens[r] = true; tellWorker(r); r++ :: else -> break od;
  r = 0;
  check()
}

/* A person who restores the backup. */
proctype Restorer() {
  byte r, v, i_, n_;
start:
  atomic { hasBackup && !restoreHold -> skip };
#ifdef RESTORE_AFTER_ROWS
  atomic { if :: hasBackup -> bringBack() :: else -> goto start fi };
#endif
  /* keyturn restore begin: refused where a version is gone, or decided to be. */
  atomic {
    if :: !hasBackup -> goto start :: else fi;
    r = 0;
    do
    :: r < RECORDS ->
      if
      :: state[backup[r]] == DESTROYED || (state[backup[r]] == DESTROY_PENDING && authorized[backup[r]]) -> r = 0; goto start
      :: else -> r++
      fi
    :: else -> break
    od;
    r = 0;
    restoreHold = true;
    v = 1;
    do
    :: v <= VERSIONS ->
      epochKept[v] = false;
#ifndef NO_EPOCH
      if :: state[v] == DESTROY_PENDING && !authorized[v] -> move(v, RETIRING) :: else fi;
#endif
      v++
    :: else -> break
    od;
    v = 0
  };
  atomic {
#ifdef DATABASE_FENCE
    minimum = 1;
#endif
    skip
  };
#ifndef RESTORE_AFTER_ROWS
  atomic { bringBack() };
#endif
  /* keyturn restore end: a sweep that begins from here on frees the versions. */
  atomic {
    restoreEnded = restoreHold;
    v = 1;
    do :: v <= VERSIONS -> epochKept[v] = false; v++ :: else -> break od;
    v = 0
  };
  atomic { !restoreHold -> skip };
  goto start
}

/* Backups are taken, and lapse; the hold on a version ends when those that were taken before it have. */
proctype Time() {
  byte r, v;
  do
  :: atomic {
      !hasBackup -> hasBackup = true;
      r = 0;
      do :: r < RECORDS -> backup[r] = rec[r]; r++ :: else -> break od;
      r = 0;
      v = 1;
      do :: v <= VERSIONS -> afterHold[v] = backupHold[v]; v++ :: else -> break od;
      v = 0
    }
  :: atomic {
      hasBackup && (!restoreHold || restoreEnded) -> hasBackup = false;
      r = 0;
      do :: r < RECORDS -> backup[r] = 0; r++ :: else -> break od;
      r = 0;
      v = 1;
      do :: v <= VERSIONS -> afterHold[v] = false; v++ :: else -> break od;
      v = 0
    }
  :: atomic {
      pickVersion(v);
      if :: MAY_LAPSE(v) -> backupHold[v] = false; afterHold[v] = false :: else fi;
      v = 0
    }
  od
}

init {
  byte i_;
  atomic {
    state[1] = ACTIVE; proved[1] = true;
    i_ = 0;
    do :: i_ < RECORDS -> rec[i_] = 1; listed[i_] = 1; opens[i_] = true; i_++ :: else -> break od;
    i_ = 0;
    do :: i_ < EXECUTIONS -> run Rotator(i_); i_++ :: else -> break od;
    i_ = 0;
    run Worker(); run Purger();
#ifndef NO_WRITER
    run Writer();
#endif
#ifndef NO_BACKUPS
    run Restorer(); run Time();
#endif
#ifdef GSI_VERIFY
    run Index();
#endif
    skip
  }
}
