/*
 * A rotation under a root key that its owner disables and enables: versions are SUSPENDED and come back, the job rests and goes
 * on, nothing counts as failed. Once faults stop, the rotation completes.
 *
 * The owner disables the key DISABLES times, processes die DEATHS times; then nothing else happens, and what must be reached
 * is looked at when no process can do anything any more.
 */
#ifndef DISABLES
#define DISABLES 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

#define NONE 0
#define PRE_ACTIVE 1
#define ACTIVE 2
#define RETIRING 3
#define SUSPENDED 4

#define RUNNING 1
#define PAUSED 2
#define COMPLETED 3

byte state[3];
byte former[3];              /* what a suspension would give back, if it remembered */
byte pointer = 1;
bool proved, retired, quarantined;
byte job = RUNNING;
byte rec = 1;
bool disabled;
bool told;                   /* somebody heard of it */
byte disables = DISABLES, deaths = DEATHS;

#ifdef PROBE_ACTIVATED_WHILE_SUSPENDED
#define REACHED_ACTIVATED assert(state[1] != SUSPENDED)
#else
#define REACHED_ACTIVATED skip
#endif
#ifdef PROBE_PAUSED
#define REACHED_PAUSED assert(job != RUNNING)
#else
#define REACHED_PAUSED skip
#endif
#ifdef PROBE_DEATHS
#define REACHED_END assert(deaths > 0 || disables > 0)
#else
#define REACHED_END skip
#endif

#ifdef RESUME_TO_FORMER_STATE
#define BACK(v) former[v]
#else
#define BACK(v) (pointer == v -> ACTIVE : RETIRING)
#endif

#ifdef EVENTS_ONLY
#define MUST_LOOK told
#else
/* The daily sweep, whoever was told: what the ledger says is not what the provider says. */
#define MUST_LOOK (told || (disabled && job == RUNNING) || (!disabled && (job == PAUSED || state[1] == SUSPENDED || state[2] == SUSPENDED)))
#endif

inline check() {
  /* 3: one version is active, or is suspended and will be; the pointer names it. */
  assert(state[pointer] == ACTIVE || state[pointer] == SUSPENDED);
  assert(!(state[1] == ACTIVE && state[2] == ACTIVE));
  /* 4 */
  assert(rec == 1 || proved);
  /* 22 */
  assert(!quarantined)
}

inline settleOne(v, unusable) {
  if
  :: unusable && (state[v] == ACTIVE || state[v] == RETIRING) -> former[v] = state[v]; state[v] = SUSPENDED
  :: !unusable && state[v] == SUSPENDED -> state[v] = BACK(v); former[v] = 0
  :: else
  fi
}

inline settle(unusable) {
  settleOne(1, unusable); settleOne(2, unusable); check()
}

proctype Owner() {
  do
  :: atomic { !disabled && disables > 0 -> disables--; disabled = true; if :: told = true :: true fi }
  :: atomic { disabled -> disabled = false; if :: told = true :: true fi }
  :: atomic { !disabled && disables == 0 -> break }
  od
}

/* An event, the daily sweep, a look every 15 minutes: asks the provider; the versions first, and then the job. */
proctype Reconciler() {
  bool unusable;
end:
start:
  atomic { MUST_LOOK -> told = false; unusable = disabled };
  atomic { settle(unusable) };
  atomic {
    if
    :: unusable && job == RUNNING -> REACHED_PAUSED; job = PAUSED
    :: !unusable && job == PAUSED -> job = RUNNING
    :: else
    fi;
    unusable = false
  };
  goto start
}

/* A step or worker that was refused asks for the truth. */
#define TROUBLE atomic { disabled && job == RUNNING -> settle(true); goto pause }
#define DIES atomic { deaths > 0 -> deaths--; goto start }
#define RESTS atomic { job != RUNNING -> goto start }

proctype Rotation() {
  bool clean;
end:
start:
  atomic { job == RUNNING -> clean = false };
  /* CreateVersion: the provider wraps the KEK. */
  if
  :: atomic { state[2] == NONE && !disabled -> state[2] = PRE_ACTIVE }
  :: atomic { state[2] != NONE -> skip }
  :: TROUBLE
  :: DIES
  fi;
  /* ProveVersion. */
  if
  :: atomic { !disabled && job == RUNNING -> proved = true }
  :: TROUBLE
  :: RESTS
  :: DIES
  fi;
  /* ActivateVersion asks no provider. A predecessor that is suspended stays so. */
  if
  :: atomic {
      job == RUNNING ->
      if
      :: pointer == 1 ->
        REACHED_ACTIVATED;
        state[2] = ACTIVE; pointer = 2;
        if :: state[1] == ACTIVE -> state[1] = RETIRING :: else fi
      :: else
      fi;
      check()
    }
  :: RESTS
  :: DIES
  fi;
sweep:
  if
  :: atomic { job == RUNNING -> clean = (rec == pointer) }
  :: RESTS
  :: DIES
  fi;
  if
  :: atomic { clean && job == RUNNING -> retired = true; job = COMPLETED }
  /* The next round, when the worker has done what it could. */
  :: atomic { !clean && rec == pointer -> goto sweep }
  :: RESTS
  :: DIES
  fi;
  goto start;
pause:
  if
  :: atomic { job == RUNNING -> REACHED_PAUSED; job = PAUSED; goto start }
  :: atomic { job != RUNNING -> goto start }
  :: DIES
  fi
}

/* Its chunks come again until they are counted. */
proctype Worker() {
end:
start:
  do
  :: atomic {
      rec != pointer && job == RUNNING && !disabled && state[rec] != SUSPENDED && state[pointer] == ACTIVE ->
      rec = pointer; check()
    }
  :: atomic {
      rec != pointer && job == RUNNING && disabled ->
#ifdef SUSPENDED_COUNTS_AS_FAILED
      quarantined = true;
#endif
      settle(true);
      goto pause
    }
  od;
pause:
  atomic { if :: job == RUNNING -> job = PAUSED :: else fi; goto start }
}

/* Liveness: when nothing moves any more, the rotation is complete. */
proctype Observer() {
  timeout ->
  REACHED_END;
  assert(job == COMPLETED && retired && rec == 2 && state[1] == RETIRING && state[2] == ACTIVE)
}

init {
  atomic { state[1] = ACTIVE; run Owner(); run Reconciler(); run Rotation(); run Worker(); run Observer() }
}
