#!/usr/bin/env node
// Writes the state a phone leaves behind after scanning the code, so that a drill can have linked accounts without a phone.
const { createHash, randomBytes } = require('crypto');
const fs = require('fs');
const path = require('path');
const { Curve, initAuthCreds, useMultiFileAuthState } = require('@whiskeysockets/baileys');
const environment = require('../environment');

const PRE_KEYS = 30;

process.umask(0o077);

function phoneNumber(account) {
    // Area code 000 is never assigned, so the number can belong to nobody.
    const suffix = (createHash('sha256').update(account).digest().readUInt32BE(0) % 9_999_999) + 1;

    return `1000${String(suffix).padStart(7, '0')}`;
}

async function link(directory, account) {
    const { state, saveCreds } = await useMultiFileAuthState(directory);
    const jid = `${phoneNumber(account)}:1@s.whatsapp.net`;
    const creds = initAuthCreds();
    const phoneIdentity = Curve.generateKeyPair();
    const details = randomBytes(32);

    Object.assign(creds, {
        me: { id: jid, name: account },
        platform: 'android',
        account: {
            details,
            accountSignatureKey: Buffer.from(phoneIdentity.public),
            accountSignature: Buffer.from(Curve.sign(phoneIdentity.private, details)),
            deviceSignature: Buffer.from(Curve.sign(creds.signedIdentityKey.private, details)),
        },
        signalIdentities: [
            { identifier: { name: jid, deviceId: 0 }, identifierKey: Buffer.from(phoneIdentity.public) },
        ],
        nextPreKeyId: PRE_KEYS + 1,
        firstUnuploadedPreKeyId: PRE_KEYS + 1,
        lastAccountSyncTimestamp: Math.floor(Date.now() / 1000),
    });

    const preKeys = {};

    for (let id = 1; id <= PRE_KEYS; id += 1) {
        preKeys[id] = Curve.generateKeyPair();
    }

    Object.assign(state.creds, creds);
    await state.keys.set({ 'pre-key': preKeys });
    await saveCreds();

    return jid;
}

async function main() {
    const [account] = process.argv.slice(2);

    if (!/^[a-z][a-z0-9-]{0,39}$/.test(account ?? '')) {
        throw new Error('usage: link-account.js ACCOUNT');
    }

    const directory = path.join(process.env.SESSION_DIR ?? environment.load().SESSION_DIR, account);

    if (fs.existsSync(path.join(directory, 'creds.json'))) {
        console.log(`${account} is linked already`);
        return;
    }

    console.log(`${account} linked as ${await link(directory, account)}`);
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
