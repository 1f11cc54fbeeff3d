/*
 * What people agree to, and what is destroyed on their word: requests, approvals, their end, and the decision.
 *
 * Two versions are purged one after the other, by one execution that may die after every step. Person 0 asked; persons 1 and
 * 2 did not. A request is bound to version, restore epoch and census; each of the latter two is one of two values, which
 * change at any time. An approval that was signed for a request that is not open any more is not counted.
 */
#define PEOPLE 3

/* The world. */
byte epoch, census;
byte version = 1;                 /* that is to be purged now */

/* The open request: what it is bound to. */
bool open;
byte ofVersion, ofEpoch, ofCensus;
bool expired;
bool used;                        /* a decision was made by it, whatever became of that */
bool given[PEOPLE];               /* an approval of it, create-only */
byte count;                       /* how many approvals were written */

/* What each person last put their name to. */
byte saidVersion[PEOPLE], saidEpoch[PEOPLE], saidCensus[PEOPLE];
bool spent[PEOPLE];               /* that word has been used */
bool late[PEOPLE];                /* its time is over */

bool reading[PEOPLE];             /* the request that the person read is the open one */

#ifdef SELF_APPROVAL
#define FIRST 0
#else
#define FIRST 1
#endif
#ifdef APPROVAL_EXPIRED
#define EXPIRED false
#else
#define EXPIRED expired
#endif
#ifdef APPROVAL_REUSED
#define USED false
#else
#define USED used
#endif
#ifdef APPROVAL_FOR_OTHER_CENSUS
#define SAME_CENSUS true
#else
#define SAME_CENSUS (ofCensus == found)
#endif
#ifdef APPROVAL_FOR_OTHER_EPOCH
#define SAME_EPOCH true
#else
#define SAME_EPOCH (ofEpoch == epoch)
#endif
#define SAME_VERSION (ofVersion == version)
#ifdef SAME_PERSON_TWICE
#define MAY_GIVE (count < 2)
#define AGREED (count >= 2)
#else
#define MAY_GIVE (!given[me])
#define AGREED ((FIRST == 0 && given[0]) + given[1] + given[2] >= 2)
#endif
/* verified anew: nothing of an earlier check is remembered */
#define COUNTS (open && !USED && !EXPIRED && SAME_VERSION && SAME_EPOCH && SAME_CENSUS)

#ifdef PROBE_AGREED
#define REACHED_AGREED assert(false)
#else
#define REACHED_AGREED skip
#endif
#ifdef PROBE_AGREED_AGAIN
#define REACHED_AGREED_AGAIN assert(version == 1)
#else
#define REACHED_AGREED_AGAIN skip
#endif
#ifdef PROBE_REPLACED
#define REACHED_REPLACED assert(!given[1])
#else
#define REACHED_REPLACED skip
#endif

inline checkOne(p) {
  if
  :: given[p] ->
    /* 25: their own word, for this, in time, and not used before. */
    assert(p != 0);
    assert(saidVersion[p] == version && saidEpoch[p] == epoch && saidCensus[p] == found);
    assert(!spent[p]);
    assert(!late[p]);
    spent[p] = true; agreed++
  :: else
  fi
}

inline ask() {
  REACHED_REPLACED;
  open = true; ofVersion = version; ofEpoch = epoch; ofCensus = found; expired = false; used = false; count = 0;
  given[0] = false; given[1] = false; given[2] = false;
  reading[0] = false; reading[1] = false; reading[2] = false
}

proctype Purge() {
  byte found, agreed;
end:
start:
  atomic { found = census };
  if
  /* settlePurgeApproval: what does not hold any more is void, and another request takes its place. */
  :: atomic { !COUNTS -> ask(); goto dead }
  :: atomic { COUNTS && !AGREED -> goto dead }
  :: atomic { COUNTS && AGREED -> skip }
  :: atomic { true -> goto dead }
  fi;
  if
  /* authorize: one conditional write; who agreed is in it. */
  :: atomic {
      SAME_EPOCH && !EXPIRED && !USED ->
      REACHED_AGREED; REACHED_AGREED_AGAIN;
      checkOne(0); checkOne(1); checkOne(2);
      /* 25: two people. */
      assert(agreed >= 2);
      used = true; agreed = 0
    }
  :: atomic { !(SAME_EPOCH && !EXPIRED && !USED) -> goto dead }
  :: atomic { true -> goto dead }
  fi;
  if
  /* The erasure; or it is taken back, and the same version may be purged again. */
  :: atomic { version == 1 -> version = 2 }
  :: atomic { version == 2 -> goto over }
  :: atomic { true -> goto dead }
  fi;
dead:
  atomic { found = 0; goto start };
over:
  skip
}

/* Reads a request, and signs it later. */
proctype Person(byte me) {
end:
  do
  :: atomic {
      !reading[me] && open && !expired && !used && me >= FIRST ->
      saidVersion[me] = ofVersion; saidEpoch[me] = ofEpoch; saidCensus[me] = ofCensus; spent[me] = false;
      late[me] = false; reading[me] = true
    }
  :: atomic {
      reading[me] && MAY_GIVE -> given[me] = true; count++; reading[me] = false
    }
  :: atomic { reading[me] && given[me] -> reading[me] = false }
  od
}

/* Restores, records, and time. */
proctype World() {
end:
  do
  :: atomic { epoch = 1 - epoch }
  :: atomic { census = 1 - census }
  :: atomic { open && !expired -> expired = true; late[0] = true; late[1] = true; late[2] = true }
  od
}

init {
  atomic { run Purge(); run Person(0); run Person(1); run Person(2); run World() }
}
