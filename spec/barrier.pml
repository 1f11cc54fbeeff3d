/*
 * The propagation barrier, in time: what rotation.pml takes for granted, that after it nobody seals under the old version;
 * and the database's fence, which is raised after it and lowered by a rollback.
 *
 * Time passes in ticks, for all at once. A cached key serves for AGE ticks, a sealed value is stored within TRANSACTION ticks,
 * two machines' clocks differ by at most SKEW. Times are counted from where they begin, and no further than they matter.
 */
#define AGE 2
#define SKEW 1
#define TRANSACTION 1
#ifndef TICKS
#define TICKS 8 /* more than any wait */
#endif

#ifdef BARRIER_WITHOUT_SKEW
#define BARRIER (AGE + TRANSACTION)
#else
#ifdef BARRIER_WITHOUT_TRANSACTION
#define BARRIER (AGE + SKEW)
#else
#ifdef BARRIER_WITHOUT_AGE
#define BARRIER (SKEW + TRANSACTION)
#else
#define BARRIER (AGE + SKEW + TRANSACTION)
#endif
#endif
#endif

byte pointer = 1;
byte minimum = 1, minimumRevision;
byte revision;
bool prepared;            /* the write of the activation has been prepared, or made */
bool passed;              /* the barrier of the rotation to version 2 */
bool back;                /* it was rolled back */
byte waited;              /* ticks since the barrier's time began to run */

byte cached;              /* the writer's key; 0: none */
byte wall, monotonic;     /* its age by the wall clock, which may be set back, and by one that may stand still in a sleep */
byte wrong;               /* which of the two was wrong since the key was read */
byte inHand;              /* the version that a value was sealed under, and that is not stored yet; 0: none */
byte sealedFor;           /* ticks since then */

#ifdef WALL_CLOCK_ONLY
#define IS_FRESH (wall < AGE)
#else
#ifdef MONOTONIC_CLOCK_ONLY
#define IS_FRESH (monotonic < AGE)
#else
#define IS_FRESH (wall < AGE && monotonic < AGE)
#endif
#endif

#define SLEEP 1
#define SET_BACK 2
/* Assumed: a machine whose clock is set back does not sleep as well while the same key is cached. */
#ifdef BOTH_CLOCKS_WRONG
#define MAY_BE_WRONG(how) true
#else
#define MAY_BE_WRONG(how) (wrong == 0 || wrong == (how))
#endif

#ifdef PROBE_PASSED
#define REACHED_PASSED assert(false)
#else
#define REACHED_PASSED skip
#endif
#ifdef PROBE_OLD_STORED
#define REACHED_OLD_STORED assert(!(waited > 0 && inHand == 1 && pointer == 2))
#else
#define REACHED_OLD_STORED skip
#endif
#ifdef PROBE_LATE_RAISE
#define REACHED_LATE_RAISE assert(!back)
#else
#define REACHED_LATE_RAISE skip
#endif

proctype Time() {
end:
  do
  /* A value is stored in time: the application's part. */
  :: atomic {
      inHand == 0 || sealedFor < TRANSACTION ->
      if :: prepared && waited < TICKS -> waited++ :: else fi;
      if :: inHand != 0 -> sealedFor++ :: else fi;
      if
      :: cached == 0
      :: cached != 0 ->
        if
        :: wall < AGE -> wall++
        :: else
        fi;
        if :: monotonic < AGE -> monotonic++ :: else fi
      /* The machine sleeps: the monotonic clock stands still. */
      :: cached != 0 && MAY_BE_WRONG(SLEEP) -> wrong = SLEEP; if :: wall < AGE -> wall++ :: else fi
      /* The wall clock is set back. */
      :: cached != 0 && MAY_BE_WRONG(SET_BACK) -> wrong = SET_BACK; wall = 0; if :: monotonic < AGE -> monotonic++ :: else fi
      fi
    }
  od
}

proctype Writer() {
end:
  do
  /* The age counts from before the key was read. */
  :: atomic { inHand == 0 -> cached = 0; wall = 0; monotonic = 0; wrong = 0 };
    atomic { cached = pointer }
  :: atomic { cached != 0 && inHand == 0 && IS_FRESH -> inHand = cached; sealedFor = 0 }
  :: atomic {
      inHand != 0 ->
      REACHED_OLD_STORED;
      /* 5 */
      assert(!(passed && !back && inHand == 1));
      /* Nobody who is right is refused by the database. */
      assert(inHand != pointer || inHand >= minimum);
      inHand = 0; sealedFor = 0
    }
  :: atomic { inHand != 0 -> inHand = 0; sealedFor = 0 }
  od
}

inline setMinimum(v, r) {
#ifndef FENCE_WITHOUT_REVISION
  if
  :: r >= minimumRevision -> minimum = v; minimumRevision = r
  :: else
  fi
#else
  minimum = v
#endif
}

proctype Rotator() {
  byte read;
#ifdef BARRIER_FROM_BEFORE
  atomic { prepared = true };
#endif
  atomic { pointer = 2; revision = 1 };
  /* From when the write was known to be done. */
  atomic { prepared = true };
  /* Another machine looks, whose clock may be ahead. */
  if
  :: atomic { waited >= BARRIER -> skip }
  :: atomic { waited + SKEW >= BARRIER -> skip }
  fi;
  atomic { passed = true; read = revision; REACHED_PASSED };
  /* Another execution of the same step raised it before, and the rollback comes in between: this one is late. */
  if
  :: atomic { setMinimum(2, read) }
  :: skip
  fi;
  if
  :: atomic { REACHED_LATE_RAISE; setMinimum(2, read) }
  :: skip
  fi
}

/* A rollback: the fence is lowered, as of the revision that it read and one more, before the version is activated again. */
proctype Rollback() {
  atomic { passed -> revision++ };
#ifndef ROLLBACK_WITHOUT_LOWERING
  atomic { setMinimum(1, revision) };
#endif
  atomic { pointer = 1; back = true; revision++ }
}

init {
  atomic { run Time(); run Writer(); run Rotator(); run Rollback() }
}
