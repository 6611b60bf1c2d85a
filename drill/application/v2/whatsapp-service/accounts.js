const fs = require('fs/promises');
const path = require('path');
const { useMultiFileAuthState } = require('@whiskeysockets/baileys');
const { failedSessions } = require('./faults');

const SAVE_INTERVAL_MS = 10_000;
const ACCOUNT_NAME = /^[a-z][a-z0-9-]{0,39}$/;

class Account {
    constructor(directory, connect) {
        this.directory = directory;
        this.connect = connect;
        this.name = path.basename(directory);
        this.state = 'needs_link';
        this.auth = null;
        // How often it was loaded since this process began.
        this.generation = 0;
    }

    get me() {
        return this.auth?.state.creds.me?.id ?? null;
    }

    get device() {
        return `${this.me}/${this.auth.state.creds.registrationId}`;
    }

    async load() {
        this.generation += 1;
        const stored = await fs.stat(path.join(this.directory, 'creds.json')).catch(() => null);

        try {
            this.auth = stored ? await useMultiFileAuthState(this.directory) : null;
            // Baileys answers an unreadable creds.json with fresh credentials, which nobody has linked.
            this.state = this.me ? 'connected' : stored ? 'failed' : 'needs_link';
        } catch {
            this.auth = null;
            this.state = 'failed';
        }

        if (this.state === 'connected') {
            this.state = await this.connect(this.device);
        }
    }

    async save() {
        if (this.state === 'disconnected') {
            this.state = await this.connect(this.device);
        }

        // Never save what did not load: it would replace a damaged but repairable file by an empty identity.
        if (this.state !== 'connected') {
            return;
        }

        this.auth.state.creds.lastAccountSyncTimestamp = Math.floor(Date.now() / 1000);
        await this.auth.saveCreds();
    }

    describe() {
        const state = failedSessions().includes(this.name) ? 'failed' : this.state;

        return { account: this.name, state, me: this.me, generation: this.generation };
    }
}

class Accounts {
    constructor(directory, connect) {
        this.directory = directory;
        this.connect = connect;
        this.all = new Map();
    }

    async load(name) {
        const names = name ? [name] : await this.#namesOnDisk();

        for (const each of names) {
            const account = this.all.get(each) ?? new Account(path.join(this.directory, each), this.connect);
            await account.load();
            this.all.set(each, account);
        }
    }

    get(name) {
        return this.all.get(name);
    }

    list() {
        return [...this.all.values()].map((account) => account.describe());
    }

    startSaving() {
        this.timer = setInterval(() => this.save().catch((error) => console.error('save failed:', error.message)), SAVE_INTERVAL_MS);
    }

    async save() {
        for (const account of this.all.values()) {
            await account.save();
        }
    }

    async stop() {
        clearInterval(this.timer);
        await this.save();
    }

    async #namesOnDisk() {
        const entries = await fs.readdir(this.directory, { withFileTypes: true });

        return entries
            .filter((entry) => entry.isDirectory() && ACCOUNT_NAME.test(entry.name))
            .map((entry) => entry.name);
    }
}

module.exports = { Accounts };
