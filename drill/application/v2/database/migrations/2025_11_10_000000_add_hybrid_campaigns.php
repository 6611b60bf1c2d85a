<?php

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up(): void
    {
        Schema::table('campaigns', function (Blueprint $table) {
            $table->string('campaign_type', 20)->default('standard')->after('name')->index();
        });

        Schema::create('campaign_hybrid_options', function (Blueprint $table) {
            $table->id();
            $table->foreignId('campaign_id')->unique()->constrained()->cascadeOnDelete();
            $table->json('buttons');
            $table->string('fallback_text')->nullable();
            $table->timestamps();
        });
    }

    public function down(): void
    {
        Schema::dropIfExists('campaign_hybrid_options');

        Schema::table('campaigns', function (Blueprint $table) {
            $table->dropIndex(['campaign_type']);
            $table->dropColumn('campaign_type');
        });
    }
};
