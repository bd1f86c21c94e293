package hold

// mutant switches one rule off. Tests use it to show that a cluster without the
// rule is caught breaking a promise; nothing else sets it.
type mutant uint8

const (
	whole              mutant = 0  // all rules hold
	grantKeeps         mutant = 1  // who grants a slot goes on serving it (rule 2)
	noReadThrough      mutant = 2  // an importer answers misses by itself (rule 3)
	noRecords          mutant = 3  // what went while importing may come again (rule 5)
	dropUnacknowledged mutant = 4  // a source drops what it has sent (rule 6)
	grantImporting     mutant = 5  // a slot that is being imported is granted on (rule 7)
	claimAlone         mutant = 6  // a claim asks nobody (rule 8)
	forgetTerms        mutant = 7  // terms that were granted or agreed to may come again (rules 1, 8)
	noLease            mutant = 8  // a node serves whether or not peers answer (rule 9)
	noFence            mutant = 9  // a claim does not wait for the lease to end (rule 9)
	returnKeeps        mutant = 10 // a node that returns goes on with what it held (rule 10)
	keepHanded         mutant = 11 // a source gives another importer what the first may have changed (rule 4)
	lastWins           mutant = 12 // the copy that comes last wins, whatever its version
	dropDoubt          mutant = 13 // a node that returns drops what it held (rule 10)
	dropHanded         mutant = 14 // a source drops what an importer that fell silent may have changed (rule 4)
	ownFirst           mutant = 15 // an importer serves what it was left with before it knows what is later (rule 10)
	serveAtOnce        mutant = 16 // a node that has found nobody yet takes slots (rule 11)
	anyIncarnation     mutant = 17 // a message for a former incarnation counts (rule 12)
	neverSilent        mutant = 18 // who does not answer is not counted dead (rule 13)
	forgetSoon         mutant = 19 // who is silent is soon forgotten (rule 14)
	flushOnce          mutant = 20 // who missed a flush does not carry it out (rule 15)
	breakSoon          mutant = 21 // a source that falls silent is not waited for (rule 3)
	dropAside          mutant = 22 // what may not be served yet is dropped (rules 4, 10)
	closeSoon          mutant = 23 // a source is closed when it has sent its last batch (rule 6)
	forgetEvicted      mutant = 24 // what is evicted leaves no record (rule 5)
	takeOld            mutant = 25 // what is older than all that memory suffices for pushes out what is younger (rule 6)
	ownEars            mutant = 26 // who does not answer this node is counted dead, whoever else it answers (rule 16)
	blameOthers        mutant = 27 // time in which a node stood still counts as its peers' silence (rule 13)
	dropGaps           mutant = 28 // terms that nobody has held stay between the parts of a slot (rule 8)
	vouchless          mutant = 29 // what nobody can vouch for is believed (rule 10)
	anyList            mutant = 30 // a claim counts with another member list (rule 8)
	aloneAtOnce        mutant = 31 // who has stood still and counts no peer alive serves at once (rule 9)
	forgoFlush         mutant = 32 // a flush that another has overtaken is not repeated (rule 15)
	nextTerm           mutant = 33 // what was given away unheard is not skipped (rule 1)
)
