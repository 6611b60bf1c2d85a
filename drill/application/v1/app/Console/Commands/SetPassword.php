<?php

namespace App\Console\Commands;

use Illuminate\Console\Command;
use Illuminate\Support\Facades\Hash;

class SetPassword extends Command
{
    use StoresUserSecret;

    protected $signature = 'campaigns:password {--email= : User who logs in with the password}';

    protected $description = 'Store the hash of a password read from APP_DRILL_PASSWORD or standard input';

    public function handle(): int
    {
        return $this->storeSecret('APP_DRILL_PASSWORD', 'password', [Hash::class, 'make']);
    }
}
