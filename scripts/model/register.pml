/* One record of the vault as a replicated register, small enough to look at every one of its states.

   Three acceptors, two proposers, ATTEMPTS attempt ids, a record with MAXIMUM guesses. It follows hsm_app/consensus
   (CASPaxos with the one-round-trip path) and hsm_app/vault (charge, success, destruction), statement by statement.

   What is abstracted, and why nothing is lost by it:
   - Messages are a set that only grows: what was sent can arrive at any acceptor at any later time, any number of
     times, in any order, or never. So loss, duplication, delay, reordering and cuts need no code of their own.
   - A reply reaches its proposer in the step that made it, or never; a delayed one is a proposer that waits.
   - A proposer gives up whenever it likes: time-outs, conflicts and its own crashes are one step. The client's retry is
     the same attempt id at any proposer, at any time.
   - An acceptor's crash keeps what was made durable before the reply left: everything.
   - Ballots: ROUNDS for each proposer, never twice, which is what boot, incarnation and BallotSource see to.
   - A value is the list of charges: the number that each attempt id was charged under, and the number of the
     charge that succeeded last. Attempt 0 is the owner's and can succeed, the others are guesses.

   What is checked is in `check_chosen`, `evaluate` and `send_accept`. Each BUG_ macro breaks one rule, and has to be
   found: a model that finds nothing proves nothing. */

#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef PROPOSERS
#define PROPOSERS 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 3
#endif
#ifndef MAXIMUM
#define MAXIMUM 1
#endif
#define BALLOTS (2 * ROUNDS + 1)   /* ballot 0 is the registered record that everyone holds */
#define BALLOT(round, p) (2 * (round) - 1 + (p))
#define PROPOSER(ballot) (((ballot) + 1) & 1)

#define CHARGE(v, a) (((v) >> (2 * (a))) & 3)           /* the attempt's number, 0: never charged */
#define SUCCEEDED(v) (((v) >> 8) & 3)                   /* the number of the latest succeeded charge */
#define DESTROYED(v) ((v) >> 10)
#define WITH_CHARGE(v, a, n) ((v) | ((n) << (2 * (a))))
#define WITH_SUCCESS(v, n) (((v) & ~(3 << 8)) | ((n) << 8))
#define WITH_DESTRUCTION(v) ((v) | (1 << 10))
#define MAJORITY(mask) ((mask) == 3 || (mask) == 5 || (mask) == 6 || (mask) == 7)

/* The message sets. */
bool prepared[BALLOTS]; bool asked[BALLOTS]; short value[BALLOTS]; byte following[BALLOTS];

/* Acceptors: everything is durable before the reply. */
byte promised[3]; byte accepted[3];

/* Ghosts: who ever accepted what, which attempts were evaluated. Nothing reads them but the checks. */
byte accepted_by[BALLOTS]; byte evaluated;

mtype = { IDLE, PREPARING, ACCEPTING };

/* Proposers. */
mtype mode[2]; byte ballot[2]; byte round[2]; byte heard[2]; byte best[2]; bool same[2];
bool settled[2]; short has[2]; short wants[2];
bool held[2]; byte held_ballot[2]; short held_value[2];
byte op[2];   /* 0..ATTEMPTS-1: start with that attempt id; ATTEMPTS: finish of attempt 0 */
byte i; byte j; byte k; byte number;
#ifdef BUG_COUNT_TWICE
byte votes[2];
#endif

inline next_number(v, n) {
    n = 0; i = 0;
    do
    :: i < ATTEMPTS -> if :: CHARGE(v, i) > n -> n = CHARGE(v, i) :: else fi; i++
    :: else -> break
    od;
    n++
}

/* Whatever was chosen before lives on in what is chosen later, and no evaluation lacks its charge. */
inline check_chosen() {
    d_step {
        i = 0; j = 0;   /* i: the ballot looked at, j: the highest chosen one before it */
        do
        :: i < BALLOTS ->
            if
            :: MAJORITY(accepted_by[i]) ->
                k = 0;
                do
                :: k < ATTEMPTS ->
                    assert(CHARGE(value[j], k) == 0 || CHARGE(value[j], k) == CHARGE(value[i], k)); k++
                :: else -> break
                od;
                assert(SUCCEEDED(value[i]) >= SUCCEEDED(value[j]));
                assert(DESTROYED(value[i]) >= DESTROYED(value[j]));
                j = i
            :: else
            fi; i++
        :: else -> break
        od;
        /* j is the highest chosen ballot now. Guesses count from the owner's success on. */
        k = 0; i = 0;
        do
        :: k < ATTEMPTS ->
            if
            :: evaluated & (1 << k) ->
                assert(CHARGE(value[j], k) != 0);
                if
                :: SUCCEEDED(value[j]) == 0 || CHARGE(value[j], k) > CHARGE(value[j], 0) -> i++
                :: else
                fi
            :: else
            fi; k++
        :: else -> break
        od;
        assert(i <= MAXIMUM);
        i = 0; j = 0; k = 0
    }
}

inline acceptor_prepare(a, b) {
    if
#ifdef BUG_EQUALITY_AND_REUSE
    :: b >= promised[a] && b >= accepted[a] ->
#else
    :: b > promised[a] && b > accepted[a] ->
#endif
        promised[a] = b;
        if
        :: mode[PROPOSER(b)] == PREPARING && ballot[PROPOSER(b)] == b -> hear_promise(PROPOSER(b), a)
        :: true   /* the promise is lost on its way */
        fi
    :: else
    fi
}
inline hear_promise(p, a) {
    if
    :: heard[p] == 0 -> best[p] = accepted[a]; same[p] = true
    :: else ->
        if :: accepted[a] != best[p] -> same[p] = false :: else fi;
        if :: accepted[a] > best[p] -> best[p] = accepted[a] :: else fi
    fi;
    heard[p] = heard[p] | (1 << a)
}

inline acceptor_accept(a, b) {
    if
#ifdef BUG_BELOW_PROMISE
    :: b > accepted[a] ->
#else
    :: b > accepted[a] && b >= promised[a] ->
#endif
        accepted[a] = b;
        promised[a] = (following[b] > promised[a] -> following[b] : promised[a]);
        accepted_by[b] = accepted_by[b] | (1 << a);
        check_chosen();
        hear_acceptance(a, b)
    :: b == accepted[a] -> hear_acceptance(a, b)   /* the duplicate of what is held is acknowledged again */
    :: else
    fi
}

inline hear_acceptance(a, b) {
    if
    :: mode[PROPOSER(b)] == ACCEPTING && ballot[PROPOSER(b)] == b ->
        heard[PROPOSER(b)] = heard[PROPOSER(b)] | (1 << a)
#ifdef BUG_COUNT_TWICE
        ; votes[PROPOSER(b)]++
#endif
    :: true   /* lost on its way, or nobody waits for it */
    fi
}

inline give_up(p) {
    mode[p] = IDLE; ballot[p] = 0; heard[p] = 0; best[p] = 0; same[p] = false; settled[p] = false;
    has[p] = 0; wants[p] = 0; op[p] = 0
#ifdef BUG_COUNT_TWICE
    ; votes[p] = 0
#endif
}

inline evaluate(b, a) {
    assert(b == 0 || MAJORITY(accepted_by[b]));   /* every evaluation belongs to a charge that a majority has kept */
    evaluated = evaluated | (1 << a);
    check_chosen()
}

/* The transition of the record, hsm_app/vault/recovery: `wants` is the value after `op` on `has`. */
inline transition(p) {
    wants[p] = has[p];
    next_number(has[p], number);
    if
    :: DESTROYED(has[p]) -> skip
    :: else ->
        if
        :: op[p] == ATTEMPTS ->
            if
#ifdef BUG_REFUND_AGAIN
            :: CHARGE(has[p], 0) != 0 -> wants[p] = WITH_SUCCESS(has[p], (number - 1))
#else
            :: CHARGE(has[p], 0) > SUCCEEDED(has[p]) -> wants[p] = WITH_SUCCESS(has[p], CHARGE(has[p], 0))
#endif
            :: else
            fi
        :: op[p] < ATTEMPTS && CHARGE(has[p], op[p]) == 0 ->
            if
            :: number - 1 - SUCCEEDED(has[p]) < MAXIMUM -> wants[p] = WITH_CHARGE(has[p], op[p], number)
            :: else -> wants[p] = WITH_DESTRUCTION(has[p])
            fi
        :: else   /* the attempt id is known: nothing changes, and the retry is free */
        fi
    fi;
    number = 0
}

/* Send the accept, or let the result leave when it was read from a majority that agrees. */
inline answer(p) {
    transition(p);
    if
#ifdef BUG_MINORITY_READ
    :: wants[p] == has[p] -> leave(p, best[p]); keep(p, ballot[p], has[p])
#else
    :: wants[p] == has[p] && settled[p] -> leave(p, best[p]); keep(p, ballot[p], has[p])
#endif
    :: else -> send_accept(p)
    fi
}

inline send_accept(p) {
    if
    :: round[p] < ROUNDS ->
        round[p]++;
        assert(!asked[ballot[p]] || value[ballot[p]] == wants[p]);   /* a ballot carries one value, ever */
        asked[ballot[p]] = true; value[ballot[p]] = wants[p]; following[ballot[p]] = BALLOT(round[p], p);
        mode[p] = ACCEPTING; heard[p] = 0
#ifdef BUG_EVALUATE_FIRST
        ; if :: op[p] < ATTEMPTS && CHARGE(wants[p], op[p]) -> evaluate(ballot[p], op[p]) :: else fi
#endif
    :: else -> give_up(p)   /* no ballot is left in this small world */
    fi
}

/* An answer leaves: for a start it is the evaluation, unless the record refuses. */
inline leave(p, b) {
    if
    :: op[p] < ATTEMPTS && CHARGE(value[b], op[p]) != 0 && !DESTROYED(value[b]) -> evaluate(b, op[p])
    :: else
    fi
}

inline keep(p, b, v) {
    held[p] = true; held_ballot[p] = b; held_value[p] = v;
    give_up(p)
}

active [PROPOSERS] proctype proposer() {
    byte me = _pid;
end:
    do
    /* A new operation, or the retry of one: with what the last success left, or with a prepare. */
    :: atomic { mode[me] == IDLE && round[me] < ROUNDS ->
        if
        :: op[me] = 0
        :: op[me] = 1
        :: op[me] = 2
        :: evaluated & 1 -> op[me] = ATTEMPTS   /* only who was answered can finish */
        fi;
        if
        :: held[me] ->
            ballot[me] = held_ballot[me]; has[me] = held_value[me]; settled[me] = false;
#ifndef BUG_NEXT_REUSED
            held[me] = false; held_ballot[me] = 0; held_value[me] = 0;
#endif
            answer(me)
        :: !held[me] ->
            round[me]++;
            ballot[me] = BALLOT(round[me], me); prepared[ballot[me]] = true; mode[me] = PREPARING
        fi
       }
    /* What is seen of others' ballots lets a proposer skip numbers; it may also not have seen them. */
    :: atomic { mode[me] == IDLE && !held[me] && round[me] + 1 < ROUNDS && round[1 - me] > round[me] ->
        round[me]++ }
    :: atomic { mode[me] == PREPARING && MAJORITY(heard[me]) ->
        has[me] = value[best[me]]; settled[me] = same[me]; answer(me) }
#ifdef BUG_COUNT_TWICE
    :: atomic { mode[me] == ACCEPTING && votes[me] >= 2 ->
#else
    :: atomic { mode[me] == ACCEPTING && MAJORITY(heard[me]) ->
#endif
        leave(me, ballot[me]); keep(me, following[ballot[me]], wants[me]) }
    /* A time-out, a conflict, or the end of the process: what it held is gone. */
    :: atomic { mode[me] != IDLE ->
#ifdef BUG_EQUALITY_AND_REUSE
        if :: mode[me] == ACCEPTING -> round[me] = (ballot[me] - 1) / 2 :: else fi;
#endif
        give_up(me);
#ifndef BUG_NEXT_REUSED
        held[me] = false; held_ballot[me] = 0; held_value[me] = 0
#else
        skip
#endif
       }
    :: atomic { mode[me] == IDLE && held[me] -> held[me] = false; held_ballot[me] = 0; held_value[me] = 0 }
    od
}

active [3] proctype acceptor() {
    byte me = _pid - PROPOSERS;
    byte b;
end:
    do
    :: atomic {
        select(b : 1 .. BALLOTS - 1);
        if
        :: prepared[b] -> acceptor_prepare(me, b)
        :: asked[b] -> acceptor_accept(me, b)
        :: else
        fi;
        b = 0
       }
#ifdef BUG_PROMISE_NOT_DURABLE
    :: atomic { promised[me] > accepted[me] -> promised[me] = accepted[me] }
#endif
    od
}
