const { setTimeout: sleep } = require('timers/promises');
const { HttpError } = require('./http');

const LONGEST_WAIT_MS = 5_000;

class RateLimit {
    constructor(perSecond) {
        this.spacing = 1000 / perSecond;
        this.next = 0;
    }

    /** Waits for a free slot, and refuses at once when the queue is so long that the caller would give up first. */
    async slot() {
        const now = Date.now();
        const at = Math.max(now, this.next);

        if (at - now > LONGEST_WAIT_MS) {
            throw new HttpError(429, 'Too many messages.');
        }

        this.next = at + this.spacing;
        await sleep(at - now);
    }
}

module.exports = { RateLimit };
