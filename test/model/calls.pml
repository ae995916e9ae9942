/*
 * Tokens and sessions over a Redis that forgets: README.md, beside it, says what this covers and what it does not.
 * Without one of its rules it has to fail: -DWITHOUT_FENCE, -DWITHOUT_EPOCH, -DWITHOUT_TICKET_RULE, -DWITHOUT_ATTEMPTS.
 */

/* How much happens at most; the test sets more of one and less of another. */
#ifndef NODES
#define NODES 2
#endif
#ifndef STARTS
#define STARTS 1 /* with the token; one more with its successor */
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1 /* of a gateway to have one start opened */
#endif
#ifndef TICKETS
#define TICKETS 3
#endif
#ifndef FAILOVERS
#define FAILOVERS 0
#endif
#ifndef KILLS
#define KILLS 0
#endif

#define SESSIONS (STARTS + 1)
#define SUCCESSOR 1 /* what token 0 is refreshed to */
#define TOKEN_OF(session) (session > STARTS -> SUCCESSOR : 0)

/* States of a record; of a revoked one: withdrawn. */
#define NONE 0
#define ISSUED 1
#define ACTIVE 2
#define COMPLETED 3
#define WITHDRAWN 4

typedef Record {
  byte status;
  byte generation; /* replication id of the server that issued it */
  byte session;
  byte node; /* 0 when its owner let go of it */
  byte epoch;
  bool revoked;
  byte current;
  byte before;
  byte older /* a bit for each */
}

/* What the process of a node has in mind. One session is enough. */
typedef Node {
  bool dead;
  byte opening; /* the session that a gateway asked it to open */
  byte attempt;
  byte granted; /* the session of a burn or an adoption that was answered and that it has not begun */
  byte holds;
  bool unheard; /* the gateway that asked for it has turned to another node */
  byte epoch;
  byte current;
  byte before;
  byte older;
  bool unsaved; /* the record does not know of its last rotation */
  byte finishing; /* the session whose end it has to store, at its epoch */
  byte adopting; /* the ticket that it adopts with, from the owner and epoch that it read */
  byte from_node;
  byte from_epoch;
  byte successor
}

Record record[2]; /* the primary's, by token */
Record replica[2];
Record nothing;
Node node[NODES + 1]; /* from 1 */
byte generation = 1;
bool late; /* nobody burned it in its time to live */
byte attempts[SESSIONS + 1]; /* how often a gateway asked for a session to be opened */
byte last_ticket;
bool stopped;
byte failovers_left = FAILOVERS;
byte kills_left = KILLS;

/* What nobody knows: it is there for the properties alone. */
byte winner; /* the session that this token and its successor bought */
bool begun; /* its client was told of it */
byte parent[TICKETS + 1]; /* the ticket that was presented for this one */
byte told; /* tickets that a client or a thief may have, a bit for each */
byte used; /* tickets that were taken by the owner in the record */
bool forgot; /* a rotation was lost in a failover, or with its node before it was stored */
bool unsure[NODES + 1]; /* a failover forgot what made it the owner */
byte ends;
byte forgotten_ends;
bool withdrawn; /* its revocation was answered with a yes */

#define HAS(set, ticket) ((set >> ticket) & 1)
#define WITH(set, ticket) (ticket -> set | (1 << ticket) : set)
#define UP(n) (!stopped && !node[n].dead)
#define IDLE(n) (!node[n].opening && !node[n].granted && !node[n].holds && !node[n].finishing && !node[n].adopting)
#define RECORD_OF(s) record[TOKEN_OF(s)]
#define HELD_BY(n) RECORD_OF(node[n].holds)
#define OWNS(n) (HELD_BY(n).status == ACTIVE && HELD_BY(n).node == n && HELD_BY(n).epoch == node[n].epoch)
#define ROOM (last_ticket < TICKETS) /* no more presentations than there are numbers for tickets */

#ifdef WITHOUT_FENCE
#define FENCED(r) false
#else
#define FENCED(r) (r.generation != generation)
#endif

/* Whether somebody has a better claim to a record than a node at an epoch. */
#ifdef WITHOUT_EPOCH
#define OUTRANKED(r, n, e) false
#else
#define OUTRANKED(r, n, e) (r.epoch > e || (r.epoch == e && r.node != 0 && r.node != n))
#endif

/* ---- properties ---- */

/* No token with two sessions, and none that has one together with its successor. */
inline check_one_session(s) {
  assert(winner == 0 || winner == s);
  winner = s
}

/* No ticket older than the one before is taken: none whose successor was used. */
inline check_not_older(ticket) {
  for (i : 1 .. TICKETS) {
    assert(forgot || !(parent[i] == ticket && HAS(used, i)))
  }
  i = 0;
  used = used | (1 << ticket)
}

/* All presentations of one ticket yield one live successor: no two of them are taken by the owner. */
inline check_one_successor(n) {
  assert(!node[n].before || !parent[node[n].before] || parent[node[n].before] != parent[node[n].current])
}

/* No session with two owners that both end it: at an end that is stored nobody holds the session more rightly, and none was stored before. */
inline check_one_end(token, by_epoch) {
  for (i : 1 .. NODES) {
    assert(!node[i].holds || TOKEN_OF(node[i].holds) != token || node[i].epoch <= by_epoch || unsure[i])
  }
  i = 0;
  ends++;
  assert(ends <= 1 + forgotten_ends)
}

/* ---- what a node does with itself ---- */

inline drop(n) {
  forgot = forgot || node[n].unsaved;
  node[n].granted = 0;
  node[n].holds = 0;
  node[n].unheard = false;
  node[n].epoch = (node[n].finishing -> node[n].epoch : 0);
  node[n].current = 0;
  node[n].before = 0;
  node[n].older = 0;
  node[n].unsaved = false;
  unsure[n] = false
}

inline stop_adopting(n) {
  node[n].adopting = 0;
  node[n].from_node = 0;
  node[n].from_epoch = 0;
  node[n].successor = 0
}

inline stop_opening(n) {
  node[n].opening = 0;
  node[n].attempt = 0
}

inline end(n) {
  node[n].finishing = node[n].holds;
  drop(n)
}

inline new_ticket(old) {
  last_ticket++;
  parent[last_ticket] = old
}

/* The answer to a burn or an adoption has come. */
inline hear_grant(n, s) {
  node[n].granted = s;
  node[n].epoch = RECORD_OF(s).epoch;
  node[n].current = RECORD_OF(s).current;
  node[n].before = RECORD_OF(s).before;
  node[n].older = RECORD_OF(s).older
}

/* ---- the steps of the store, each one script ---- */

inline issue(token, by_generation) {
  record[token].status = ISSUED;
  record[token].generation = by_generation
}

#define BURNABLE(s) (RECORD_OF(s).status == ISSUED && !FENCED(RECORD_OF(s)) && !late)
#define SAME_YES(n, s) (RECORD_OF(s).status == ACTIVE && RECORD_OF(s).session == s && RECORD_OF(s).node == n)
#ifdef WITHOUT_ATTEMPTS
#define TAKEN_OVER(n, s) (RECORD_OF(s).status == ACTIVE && RECORD_OF(s).session == s && RECORD_OF(s).node != n)
#define EPOCH_OF_BURN(n, s) (RECORD_OF(s).epoch + 1)
#else
#define TAKEN_OVER(n, s) (RECORD_OF(s).status == ACTIVE && RECORD_OF(s).session == s && RECORD_OF(s).epoch < node[n].attempt)
#define EPOCH_OF_BURN(n, s) (node[n].attempt)
#endif

/* Whether a burn says yes. */
#define BURNS(n, s) (SAME_YES(n, s) || (ROOM && (BURNABLE(s) || TAKEN_OVER(n, s))))

inline burn(n, s) {
  if
  :: SAME_YES(n, s) -> skip
  :: else ->
     check_one_session(s);
     /* A call that has begun is not taken away by a burn that comes late. */
     assert(!begun || RECORD_OF(s).status == ISSUED);
     new_ticket(0);
     RECORD_OF(s).status = ACTIVE;
     RECORD_OF(s).session = s;
     RECORD_OF(s).node = n;
     RECORD_OF(s).epoch = EPOCH_OF_BURN(n, s);
     RECORD_OF(s).current = last_ticket;
     RECORD_OF(s).before = 0;
     RECORD_OF(s).older = 0
  fi
}

inline write(n) {
  HELD_BY(n).status = ACTIVE;
  HELD_BY(n).session = node[n].holds;
  HELD_BY(n).node = n;
  HELD_BY(n).epoch = node[n].epoch;
  HELD_BY(n).current = node[n].current;
  HELD_BY(n).before = node[n].before;
  HELD_BY(n).older = node[n].older;
  node[n].unsaved = false;
  unsure[n] = false;
  if
  :: HELD_BY(n).revoked -> end(n)
  :: else -> skip
  fi
}

/* The renewal of a lease, and the storing of a rotation. */
inline renew(n) {
  if
  :: HELD_BY(n).status == ISSUED && FENCED(HELD_BY(n)) -> write(n) /* the failover forgot the burn */
  :: (HELD_BY(n).status == ACTIVE || HELD_BY(n).status == COMPLETED) && OUTRANKED(HELD_BY(n), n, node[n].epoch) ->
     drop(n) /* moved */
  :: HELD_BY(n).status == ACTIVE && !OUTRANKED(HELD_BY(n), n, node[n].epoch) -> write(n)
  :: else -> skip
  fi
}

inline finish(n) {
  if
  :: RECORD_OF(node[n].finishing).status == ACTIVE &&
     !OUTRANKED(RECORD_OF(node[n].finishing), n, node[n].epoch) ->
     RECORD_OF(node[n].finishing).status = COMPLETED;
     RECORD_OF(node[n].finishing).node = n;
     RECORD_OF(node[n].finishing).epoch = node[n].epoch;
     check_one_end(TOKEN_OF(node[n].finishing), node[n].epoch)
  :: else -> skip
  fi;
  node[n].finishing = 0;
  node[n].epoch = 0
}

inline leave(n) {
  HELD_BY(n).node = 0;
  drop(n)
}

#define ADOPTED RECORD_OF(winner)
#define ADOPTABLE (ADOPTED.status == ACTIVE)
#define REPEATED(n) (ADOPTED.node == n && ADOPTED.epoch == node[n].from_epoch + 1 && ADOPTED.current == node[n].successor)
#define UNMOVED(n) (ADOPTED.node == node[n].from_node && ADOPTED.epoch == node[n].from_epoch)

/* Whether an adoption says yes. */
#ifdef WITHOUT_TICKET_RULE
#define TICKET_TAKEN(n) (node[n].adopting == ADOPTED.current || node[n].adopting == ADOPTED.before || HAS(ADOPTED.older, node[n].adopting))
#else
#define TICKET_TAKEN(n) (node[n].adopting == ADOPTED.current || node[n].adopting == ADOPTED.before)
#endif
#define ADOPTS(n) (ADOPTABLE && ((node[n].successor && REPEATED(n)) || (!node[n].successor && UNMOVED(n) && TICKET_TAKEN(n) && ROOM)))

inline adopt(n) {
  if
  :: node[n].successor -> skip /* the same yes */
  :: else ->
     for (i : 1 .. NODES) {
       forgot = forgot || node[i].unsaved
     }
     i = 0;
     check_not_older(node[n].adopting);
     new_ticket(node[n].adopting);
     node[n].successor = last_ticket;
     if
     :: node[n].adopting == ADOPTED.current ->
        ADOPTED.older = WITH(ADOPTED.older, ADOPTED.before);
        ADOPTED.before = ADOPTED.current
#ifdef WITHOUT_TICKET_RULE
     :: else ->
        ADOPTED.older = WITH(ADOPTED.older, ADOPTED.before);
        ADOPTED.before = ADOPTED.current
#else
     :: else -> skip /* its unused successor becomes unknown */
#endif
     fi;
     ADOPTED.current = last_ticket;
     ADOPTED.node = n;
     ADOPTED.epoch++
  fi
}

inline refuse_adoption(n) {
  if
  :: ADOPTABLE && UNMOVED(n) && HAS(ADOPTED.older, node[n].adopting) ->
     ADOPTED.status = COMPLETED;
     ADOPTED.node = n;
     ADOPTED.epoch++;
     check_one_end(TOKEN_OF(winner), ADOPTED.epoch)
  :: else -> skip
  fi;
  stop_adopting(n)
}

/* What reads as ended because of the fence may be live: its revocation is kept for the renewal that writes its burn again. */
inline revoke(token) {
  if
  :: record[token].status == ISSUED && !FENCED(record[token]) -> record[token].status = WITHDRAWN
  :: else -> record[token].revoked = true
  fi;
  withdrawn = withdrawn || (winner && TOKEN_OF(winner) == token)
}

/* ---- the steps of a node ---- */

/* It holds the session. */
inline present(n, ticket) {
  if
  :: ticket == node[n].current && !OWNS(n) || ticket == node[n].before && !OWNS(n) -> skip
  :: ticket == node[n].current && OWNS(n) || ticket == node[n].before && OWNS(n) -> check_not_older(ticket)
#ifdef WITHOUT_TICKET_RULE
  :: HAS(node[n].older, ticket) -> check_not_older(ticket)
#endif
  :: else -> skip
  fi;
  if
  :: ticket == node[n].current ->
     new_ticket(ticket);
     node[n].older = WITH(node[n].older, node[n].before);
     node[n].before = ticket;
     node[n].current = last_ticket;
     node[n].unsaved = true;
     check_one_successor(n)
  :: ticket == node[n].before -> skip /* the same successor */
#ifndef WITHOUT_TICKET_RULE
  :: HAS(node[n].older, ticket) -> end(n)
#endif
  :: else -> skip /* a guess ends nothing */
  fi
}

/*
 * A client or a thief shows a ticket to a node. It takes whom it likes for dead: that may always be wrong. In the middle
 * of another adoption it says that it is busy.
 */
#define PRESENTED(ticket) \
  :: d_step { UP(me) && HAS(told, ticket) && node[me].holds && (ROOM || ticket != node[me].current) -> present(me, ticket) } \
  :: d_step { UP(me) && HAS(told, ticket) && IDLE(me) && ADOPTABLE && ADOPTED.node != me -> \
       node[me].adopting = ticket; \
       node[me].from_node = ADOPTED.node; \
       node[me].from_epoch = ADOPTED.epoch }

/* A gateway asks for a session, and asks another node when it takes the first one for dead, until its client was told. */
#if STARTS * ATTEMPTS == 1
#define CHOSEN(n) (n == 1) /* the others are no different */
#else
#define CHOSEN(n) true
#endif
#define OPENED(s) \
  :: d_step { UP(me) && IDLE(me) && CHOSEN(me) && attempts[s] < ATTEMPTS && !(begun && winner == s) -> \
       attempts[s]++; \
       node[me].opening = s; \
       node[me].attempt = attempts[s] }

proctype process(byte me) {
  byte i;
  do
  OPENED(1)
#if STARTS > 1
  OPENED(2)
#endif
#ifdef REFRESHED
  OPENED(SESSIONS)
#endif
  :: d_step { UP(me) && node[me].opening && BURNS(me, node[me].opening) ->
       burn(me, node[me].opening) /* its answer is lost */ }
  :: d_step { UP(me) && node[me].opening && BURNS(me, node[me].opening) ->
       burn(me, node[me].opening);
       hear_grant(me, node[me].opening) }
  :: d_step { UP(me) && node[me].opening && !node[me].granted && !BURNS(me, node[me].opening) -> stop_opening(me) }
  PRESENTED(1)
#if TICKETS > 1
  PRESENTED(2)
#endif
#if TICKETS > 2
  PRESENTED(3)
#endif
#if TICKETS > 3
  PRESENTED(4)
#endif
#if TICKETS > 4
  PRESENTED(5)
#endif
  :: d_step { UP(me) && node[me].adopting && ADOPTS(me) -> adopt(me) /* its answer is lost */ }
  :: d_step { UP(me) && node[me].adopting && ADOPTS(me) ->
       adopt(me);
       hear_grant(me, winner) }
  :: d_step { UP(me) && node[me].adopting && !node[me].granted && !ADOPTS(me) -> refuse_adoption(me) }
  /* Of several nodes that were asked to open a session the gateway listens to the last one. */
  :: d_step { UP(me) && node[me].granted ->
       node[me].holds = node[me].granted;
       node[me].granted = 0;
       node[me].unheard = node[me].opening && node[me].attempt < attempts[node[me].opening];
       begun = begun || !node[me].unheard;
       stop_opening(me);
       stop_adopting(me);
       check_one_successor(me) }
  /* `offer` or `resumed`: when the rotation is stored, or after a while. */
  :: d_step { UP(me) && node[me].holds && !node[me].unheard && !HAS(told, node[me].current) -> told = told | (1 << node[me].current) }
  :: d_step { UP(me) && node[me].holds -> renew(me) }
  :: d_step { UP(me) && node[me].holds -> end(me) /* hang-up, expiry, loss */ }
  :: d_step { UP(me) && node[me].holds && OWNS(me) -> leave(me) }
  :: d_step { UP(me) && node[me].finishing -> finish(me) }
  od
}

#define REVOKES(token) \
  :: d_step { !stopped && record[token].status != NONE && record[token].status != WITHDRAWN && !record[token].revoked -> revoke(token) }

proctype backend() {
  do
#ifdef REFRESHED
  :: d_step { !stopped && record[0].status == ISSUED && !FENCED(record[0]) && !late && record[SUCCESSOR].status == NONE ->
       record[0].status = WITHDRAWN;
       issue(SUCCESSOR, record[0].generation) }
  REVOKES(SUCCESSOR)
#endif
#ifdef REVOKED
  REVOKES(0)
#endif
  :: d_step { !stopped && STARTS > 1 && !winner && !late -> late = true /* the token's time is over */ }
  od
}

inline copy(to, from) {
  to.status = from.status;
  to.generation = from.generation;
  to.session = from.session;
  to.node = from.node;
  to.epoch = from.epoch;
  to.revoked = from.revoked;
  to.current = from.current;
  to.before = from.before;
  to.older = from.older
}

/* Fewer states: nobody looks at it any more. */
inline forget_replica() {
  if
  :: failovers_left == 0 ->
     copy(replica[0], nothing);
     copy(replica[1], nothing)
  :: else -> skip
  fi
}

/* The replica has everything up to some moment, and becomes the primary. */
inline fail_over() {
  failovers_left--;
  generation++;
  if
  :: winner == 0 -> skip
  :: else ->
     forgotten_ends = forgotten_ends +
       (ADOPTED.status == COMPLETED && replica[TOKEN_OF(winner)].status != COMPLETED -> 1 : 0);
     forgot = forgot || ADOPTED.current != replica[TOKEN_OF(winner)].current;
     withdrawn = withdrawn && (replica[TOKEN_OF(winner)].revoked || replica[TOKEN_OF(winner)].status == WITHDRAWN);
     for (i : 1 .. NODES) {
       unsure[i] = unsure[i] || ((node[i].holds || node[i].granted) && node[i].epoch > replica[TOKEN_OF(winner)].epoch)
     }
     i = 0
  fi;
  copy(record[0], replica[0]);
  copy(record[1], replica[1]);
  forget_replica()
}

proctype redis() {
  byte i;
  do
  :: d_step { !stopped && failovers_left -> copy(replica[0], record[0]); copy(replica[1], record[1]) }
  :: d_step { !stopped && failovers_left -> fail_over() }
  od
}

inline kill(n) {
  kills_left--;
  node[n].finishing = 0;
  drop(n);
  stop_opening(n);
  stop_adopting(n);
  node[n].dead = true
}

/* Fewer states: all runs end alike. */
inline clear() {
  for (n : 1 .. NODES) {
    node[n].finishing = 0;
    drop(n);
    stop_opening(n);
    stop_adopting(n);
    node[n].dead = false
  }
  for (n : 1 .. TICKETS) {
    parent[n] = 0
  }
  for (n : 1 .. SESSIONS) {
    attempts[n] = 0
  }
  copy(record[0], nothing);
  copy(record[1], nothing);
  copy(replica[0], nothing);
  copy(replica[1], nothing);
  failovers_left = 0; kills_left = 0; generation = 0; late = false; last_ticket = 0;
  winner = 0; begun = false; told = 0; used = 0; forgot = false; ends = 0; forgotten_ends = 0; withdrawn = false;
  holders = 0; n = 0; j = 0
}

/* When nothing more happens to them, all that live renew, and no two go on; nor does a session that was revoked. */
inline settle() {
  stopped = true;
  for (j : 1 .. 3) {
    for (n : 1 .. NODES) {
      if
      :: !node[n].dead && node[n].holds -> renew(n)
      :: else -> skip
      fi
    }
  }
  holders = 0;
  for (n : 1 .. NODES) {
    holders = holders + (node[n].holds -> 1 : 0);
    assert(!node[n].holds || ADOPTED.status != ACTIVE || OWNS(n));
    assert(!node[n].holds || !withdrawn || unsure[n])
  }
  assert(holders <= 1 || ADOPTED.status != ACTIVE);
  clear()
}

#define FATE(n) \
  :: d_step { !stopped && kills_left && !node[n].dead -> kill(n) }

proctype fate() {
  byte i, j, n, holders;
  do
  FATE(1)
  FATE(2)
#if NODES > 2
  FATE(3)
#endif
  :: d_step { !stopped && winner -> settle() }
  od
}

init {
  atomic {
    issue(0, generation);
    copy(replica[0], record[0]);
    run process(1);
    run process(2);
#if NODES > 2
    run process(3);
#endif
    run backend();
    run redis();
    run fate()
  }
}
