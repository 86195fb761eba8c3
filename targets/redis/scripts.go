package redis

// script is Lua that the server runs as one step. Its first line makes the server
// test all that it tests for writes before it runs anything: a replica, say,
// would otherwise answer for as long as a script only reads.
type script string

// on makes a command of a script, for these keys and then these arguments.
func (s script) on(keys ...string) func(args ...any) command {
	c := command{"EVAL", string(s), len(keys)}
	for _, k := range keys {
		c = append(c, k)
	}
	return func(args ...any) command { return append(c, args...) }
}

const (
	// swap sets a value from old to new, or returns what it found.
	swap script = `#!lua
local v = redis.call('GET', KEYS[1])
if v ~= ARGV[1] then return {0, v} end
redis.call('SET', KEYS[1], ARGV[2])
return 1`

	// openAccounts makes a list of balances, unless there is one.
	openAccounts script = `#!lua
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local all = {}
for i = 1, tonumber(ARGV[1]) do all[i] = ARGV[2] end
return redis.call('RPUSH', KEYS[1], unpack(all))`

	// transfer returns 0 if there is not enough.
	transfer script = `#!lua
local from = tonumber(redis.call('LINDEX', KEYS[1], ARGV[1])) - ARGV[3]
local to = tonumber(redis.call('LINDEX', KEYS[1], ARGV[2])) + ARGV[3]
if from < 0 or ARGV[1] == ARGV[2] then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], string.format('%.0f', from))
redis.call('LSET', KEYS[1], ARGV[2], string.format('%.0f', to))
return 1`

	// acquire is SET NX PX that draws a fencing token as well.
	acquire script = `#!lua
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
return redis.call('INCR', KEYS[2])`

	// release deletes a lock that its owner still has.
	release script = `#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

	// present shows a token to what a lock protects, which remembers the
	// greatest one. It returns nothing if it has seen a greater one, else what
	// is protected, or '' if there is nothing; with a second argument it
	// replaces it.
	present script = `#!lua
local seen = redis.call('GET', KEYS[2])
if seen and tonumber(seen) > tonumber(ARGV[1]) then return false end
redis.call('SET', KEYS[2], ARGV[1])
if ARGV[2] then redis.call('SET', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1]) or ''`
)
