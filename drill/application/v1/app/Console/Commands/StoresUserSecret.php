<?php

namespace App\Console\Commands;

use App\Models\User;

/** Secrets come from the environment or standard input, because arguments are visible to every user of the host. */
trait StoresUserSecret
{
    private function storeSecret(string $variable, string $column, callable $hash): int
    {
        $secret = trim(getenv($variable) ?: (string) stream_get_contents(STDIN));

        if ($secret === '') {
            $this->error("Pass the secret on standard input or in {$variable}.");

            return self::FAILURE;
        }

        $user = User::where('email', $this->option('email'))->first();

        if ($user === null) {
            $this->error('No user has this email address.');

            return self::FAILURE;
        }

        $user->update([$column => $hash($secret)]);
        $this->info("Stored for {$user->email}.");

        return self::SUCCESS;
    }
}
