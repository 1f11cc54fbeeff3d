/*
 * The purge of one version, write by write: two executions of its job, also of attempts that are over, against applications
 * that ask for the version, people who pause and resume, restores, and the owner of the root key.
 *
 * The key's item and the job's item are written on condition of their revisions. Instead of a revision each execution has
 * a bit, `fresh`: nobody has replaced the key since it read it. Instead of fencedAt and restoreEpoch the job has two:
 * what it remembers is still so. The mark of the canary is no part of the revision; its own value is compared.
 */
#define EXECUTIONS 2

#define RETIRING 1
#define SUSPENDED 2
#define DESTROY_PENDING 3
#define DESTROYED 4

#define REQUESTED 1
#define CENSUS 2
#define PAUSED 3      /* by a person */
#define ROOT_KEY 4    /* paused for the root key */
#define BLOCKED 5
#define COMPLETED 6

/* The key's item. */
byte state = RETIRING;
bool authorized, mark, seen, held;
bool graceOver = true;

/* The job's item. */
byte job = REQUESTED;
bool jobFence;               /* fencedAt is the key's destroyPendingAt */
bool jobEpoch;               /* restoreEpoch is the key's */

/* Of each execution. */
bool fresh[EXECUTIONS];      /* the key is as it read it */
bool sameMark[EXECUTIONS];   /* the mark is the one that it read */
bool attempt[EXECUTIONS];    /* its attempt is the job's */
bool fence[EXECUTIONS];      /* the fence that it knows stands */
bool epoch[EXECUTIONS];      /* the epoch that it knows stands */

/* The world. */
bool needed;                 /* a record that a census sees names the version */
bool disabled;               /* the root key */

/* What must not be forgotten. */
bool unanswered;             /* an application was served by a fenced version, and no clean count has answered for it */
bool looked[EXECUTIONS];     /* the root key was enabled at some moment of the step that decides */

#ifdef PROBE_RENEWED
#define REACHED_RENEWED assert(false)
#else
#define REACHED_RENEWED skip
#endif
#ifdef PROBE_TAKEN_BACK
#define REACHED_TAKEN_BACK assert(false)
#else
#define REACHED_TAKEN_BACK skip
#endif
#ifdef PROBE_OVERTAKEN
#define REACHED_OVERTAKEN assert(attempt[me])
#else
#define REACHED_OVERTAKEN skip
#endif
#ifdef PROBE_SUSPENDED
#define REACHED_SUSPENDED assert(false)
#else
#define REACHED_SUSPENDED skip
#endif
#ifdef PROBE_RESUMED_AND_DESTROYED
bool resumed;
#define RESUMES resumed = true
#define REACHED_RESUMED assert(!resumed)
#else
#define RESUMES skip
#define REACHED_RESUMED skip
#endif

#define RUNS (job == REQUESTED || job == CENSUS)

/* Any replacement of the key's item. */
inline replaced() {
  fresh[0] = false; fresh[1] = false;
  if
  :: state == RETIRING || state == SUSPENDED -> jobFence = false; fence[0] = false; fence[1] = false; authorized = false
  :: else
  fi
}

inline epochChanges() {
  jobEpoch = false; epoch[0] = false; epoch[1] = false
}

/* shared/rotation/call-off-purge.ts, whyCalledOff: what in the key's item speaks against it. */
#ifdef SOAK_IGNORES_CANARY
#define MARKED false
#else
#define MARKED mark
#endif
#ifdef RESTORE_NOT_SEEN
#define RESTORED false
#define STANDS_HELD false
#else
#define RESTORED !jobEpoch
#define STANDS_HELD held
#endif
#ifdef SEEN_FORGOTTEN
#define SEEN false
#else
#define SEEN seen
#endif
#define CALLED_OFF (MARKED || STANDS_HELD || RESTORED)

#ifdef FENCE_NOT_COMPARED
#define SAME_FENCE true
#else
#define SAME_FENCE jobFence
#endif

#ifdef MARK_NOT_COMPARED
#define SAME_MARK true
#else
#define SAME_MARK sameMark[me]
#endif

proctype Execution(byte me) {
  bool used, clean, read;
  /* An attempt begins, or the same one is repeated. */
end:
start:
  atomic { RUNS -> attempt[me] = true };
begin:
  /* BeginPurge: the key is read, then the job; a mark that no purge has answered for is kept. */
  if
  :: atomic {
      fresh[me] = true; sameMark[me] = true; read = mark; used = mark && !seen; epoch[me] = true; fence[me] = (state == DESTROY_PENDING || state == DESTROYED)
    }
  :: atomic { true -> goto dead }
  fi;
  if
  :: atomic { !RUNS -> goto dead }
  :: atomic { job == CENSUS -> goto barrier }
  :: atomic { job == REQUESTED && fence[me] -> goto fenced }
  :: atomic { job == REQUESTED && !fence[me] && fresh[me] && (state != RETIRING || !graceOver || held) -> goto stop }
  :: atomic { job == REQUESTED && !fence[me] && !fresh[me] -> goto begin }
  :: atomic { job == REQUESTED && !fence[me] && fresh[me] && state == RETIRING && graceOver && !held -> skip }
  :: atomic { true -> goto dead }
  fi;
#ifndef MARK_CLEARED_FIRST
  /* In a write of its own, before the mark is cleared. */
  if
  :: atomic { !used -> skip }
  :: atomic { used && fresh[me] && SAME_MARK -> seen = true; replaced(); goto begin }
  :: atomic { used && !(fresh[me] && SAME_MARK) -> goto begin }
  :: atomic { true -> goto dead }
  fi;
#endif
  /* clearUsed, and then replaceKey. */
  if
  :: atomic { !read -> skip }
  :: atomic { read && sameMark[me] -> mark = false; sameMark[0] = false; sameMark[1] = false; sameMark[me] = true }
  :: atomic { read && !sameMark[me] -> goto begin }
  :: atomic { true -> goto dead }
  fi;
  if
  :: atomic {
      fresh[me] && SAME_MARK && state == RETIRING ->
      state = DESTROY_PENDING;
      seen = seen || used;
      replaced(); fence[me] = true
    }
  :: atomic { !(fresh[me] && SAME_MARK && state == RETIRING) -> goto begin }
  :: atomic { true -> goto dead }
  fi;
fenced:
  /* The job remembers which fence, and which epoch. */
  if
  :: atomic {
      job == REQUESTED -> job = CENSUS;
      if
      :: authorized || (jobFence && fence[me])
      :: else -> jobFence = fence[me]; jobEpoch = epoch[me]
      fi
    }
  :: atomic { job == CENSUS -> skip }
  :: atomic { !RUNS -> goto stop }
  :: atomic { true -> goto dead }
  fi;
barrier:
  /* CheckBarrier: the rehearsal. */
  if
  :: atomic { !RUNS -> goto dead }
  :: atomic { CALLED_OFF && !authorized -> clean = true; goto callOff }
  :: atomic { RUNS && (authorized || !CALLED_OFF) -> skip }
  :: atomic { true -> goto dead }
  fi;
  /* TakeCensus. */
  if
  :: atomic { clean = !needed }
  :: atomic { true -> goto dead }
  fi;
  /* DestroyVersion. */
  if
  :: atomic { !RUNS -> goto dead }
  :: atomic { RUNS && authorized && state == DESTROY_PENDING -> goto erase }
  :: atomic { RUNS && state == DESTROYED -> job = COMPLETED; goto dead }
  :: atomic { RUNS && !authorized && (CALLED_OFF || !clean) -> goto callOff }
  :: atomic {
      RUNS && !authorized && !CALLED_OFF && clean && SEEN && SAME_FENCE && state == DESTROY_PENDING ->
      /* renewGrace: one write. */
      seen = false; unanswered = false; graceOver = false; state = RETIRING; replaced();
      REACHED_RENEWED;
      goto block
    }
  :: atomic { RUNS && !authorized && !CALLED_OFF && clean && !SEEN -> skip }
  :: atomic { true -> goto dead }
  fi;
#ifndef PURGE_WHILE_SUSPENDED
  /* requireUsable: the root key is asked for itself. */
  if
  :: atomic { !disabled -> looked[me] = true }
  :: atomic { disabled -> goto suspend }
  :: atomic { true -> goto dead }
  fi;
#endif
  /* authorize: the key is read, then the job; one conditional write. */
  if
  :: atomic { fresh[me] = true; sameMark[me] = true; read = mark; if :: authorized -> goto erase :: else fi }
  :: atomic { true -> goto dead }
  fi;
  if
  :: atomic { RUNS -> skip }
  :: atomic { !RUNS -> goto dead }
  fi;
  if
  :: atomic {
      fresh[me] && SAME_MARK && state == DESTROY_PENDING && SAME_FENCE && !CALLED_OFF && !SEEN ->
      assert(jobFence);
      assert(looked[me] || !disabled);
      authorized = true; fresh[0] = false; fresh[1] = false
    }
  :: atomic { !(fresh[me] && SAME_MARK && state == DESTROY_PENDING && SAME_FENCE && !CALLED_OFF && !SEEN) -> goto callOff }
  :: atomic { true -> goto dead }
  fi;
erase:
  /* rememberCensus: not for an attempt that is over. */
  if
  :: atomic { !attempt[me] -> REACHED_OVERTAKEN; goto dead }
  :: atomic { attempt[me] && !RUNS -> goto dead }
  :: atomic { attempt[me] && RUNS -> skip }
  :: atomic { true -> goto dead }
  fi;
  /* eraseOrTakeBack: the key is read, and one conditional write, either way. */
look:
  atomic {
    if :: !(state == DESTROY_PENDING && authorized) -> goto ended :: else fi;
    fresh[me] = true; sameMark[me] = true; clean = clean && !CALLED_OFF
  };
  if
  :: atomic {
      fresh[me] && SAME_MARK ->
      if
      :: clean ->
        state = DESTROYED; replaced();
        /* 1, 9 */
        assert(!needed);
        /* The canary: who asked has been answered for. */
        assert(!unanswered);
        REACHED_RESUMED
      :: else -> state = RETIRING; replaced(); REACHED_TAKEN_BACK
      fi
    }
  :: atomic { !(fresh[me] && SAME_MARK) -> goto look }
  :: atomic { true -> goto dead }
  fi;
ended:
  if
  :: atomic { state == DESTROYED && RUNS -> job = COMPLETED; goto dead }
  :: atomic { state == DESTROYED && !RUNS -> goto dead }
  :: atomic { state != DESTROYED -> goto callOff }
  fi;
suspend:
  /* pauseIfUnusable: what the root key wrapped is suspended, then the job rests. */
  atomic { if :: disabled && !authorized && (state == DESTROY_PENDING || state == RETIRING) -> state = SUSPENDED; replaced() :: else fi };
  atomic { if :: RUNS -> job = ROOT_KEY :: else fi; goto dead };
callOff:
  /* Found on the version, or asked for: that is kept. Not once it is decided. */
  if
  :: atomic { authorized -> goto dead }
  :: atomic {
      !authorized && state != DESTROYED ->
      if :: mark || !clean -> seen = true :: else fi;
      if :: state == DESTROY_PENDING -> state = RETIRING :: else fi;
      replaced()
    }
  :: atomic { state == DESTROYED -> goto dead }
  :: atomic { true -> goto dead }
  fi;
block:
  atomic { if :: RUNS -> job = BLOCKED :: else fi; goto dead };
stop:
  /* StopJob. */
  atomic { if :: state == DESTROY_PENDING && !authorized -> state = RETIRING; replaced() :: else fi };
  atomic { if :: RUNS -> job = BLOCKED :: else fi };
dead:
  atomic {
    used = false; clean = false; read = false; fresh[me] = false; sameMark[me] = false; fence[me] = false; epoch[me] = false;
    looked[me] = false;
    goto start
  }
}

/*
 * An application that needs the version, from a place that no census reads. Fenced, or by a cached key that still says so, it is
 * served and leaves a mark.
 */
proctype Application() {
end:
  do
  :: atomic {
      state == DESTROY_PENDING || state == RETIRING ->
      mark = true; unanswered = true; sameMark[0] = false; sameMark[1] = false
    }
  :: atomic { state == DESTROYED -> break }
  od
}

/* People: pause and resume; ask again for what is blocked. Each takes it up by a new attempt. */
proctype Person() {
end:
  do
  :: atomic { RUNS && !authorized -> job = PAUSED };
    atomic {
      if
      :: job == PAUSED && authorized -> job = REQUESTED; jobFence = false; attempt[0] = false; attempt[1] = false
      :: job == PAUSED && !authorized -> if :: state == DESTROY_PENDING -> state = RETIRING :: else fi; replaced()
      :: else
      fi
    }
  :: atomic { job == PAUSED || job == BLOCKED -> job = REQUESTED; jobFence = false; attempt[0] = false; attempt[1] = false }
  /* Or the daily sweep does, when an execution is gone. */
  :: atomic { RUNS -> attempt[0] = false; attempt[1] = false }
  :: atomic { job == COMPLETED -> break }
  od
}

/* A restore, registered before its rows, and swept before it is freed. */
proctype Restorer() {
end:
  do
#ifdef RESTORE_REGISTERED_LATE
  :: atomic { state != DESTROYED && !held -> needed = true };
    atomic { if :: state != DESTROYED && !authorized -> held = true; epochChanges(); if :: state == DESTROY_PENDING -> state = RETIRING :: else fi; replaced() :: else -> break fi };
#else
  :: atomic {
      state != DESTROYED && !authorized && !held ->
      held = true; epochChanges();
#ifndef RESTORE_NOT_SEEN
      if :: state == DESTROY_PENDING -> state = RETIRING :: else fi;
#endif
      replaced()
    };
    atomic { needed = true };
#endif
    atomic { epochChanges(); replaced() };
    atomic { needed = false };
    atomic { held = false; replaced() }
  :: atomic { state == DESTROYED -> break }
  od
}

/* Time, in which a grace ends. */
proctype Time() {
end:
  do
  :: atomic { !graceOver -> graceOver = true }
  :: atomic { state == DESTROYED -> break }
  od
}

/* The owner of the root key, and whoever is told of it: the version first, then the job. */
proctype Owner() {
end:
  do
  :: atomic { !disabled && state != DESTROYED -> disabled = true };
    if
    :: atomic {
        if
        :: (state == DESTROY_PENDING && !authorized) || state == RETIRING -> state = SUSPENDED; replaced(); REACHED_SUSPENDED
        :: else
        fi
      };
      atomic { if :: RUNS -> job = ROOT_KEY :: else fi }
    /* Nobody is told. */
    :: true
    fi;
    atomic { disabled = false };
    atomic { if :: state == SUSPENDED -> state = RETIRING; replaced(); RESUMES :: else fi };
    atomic { if :: job == ROOT_KEY -> job = REQUESTED; attempt[0] = false; attempt[1] = false :: else fi }
  :: atomic { state == DESTROYED -> break }
  od
}

init {
  atomic {
    run Execution(0); run Execution(1);
    run Person();
#ifndef NO_APPLICATION
    run Application(); run Time();
#endif
#ifndef NO_RESTORES
    run Restorer();
#endif
#ifndef NO_OWNER
    run Owner();
#endif
    skip
  }
}
